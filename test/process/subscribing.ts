/** The real service with receivers of its events, and what their owner asks for. Of one test file. */
import { expect } from "vitest";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import {
  type Answer,
  ask,
  endServices,
  newDirectory,
  type Service,
  startService,
  waitUntil,
} from "../setup/service.ts";
import { type Received, Receiver } from "./receiver.ts";

const WAIT_MS = 60_000;
export const TIMEOUT_MS = 1_000;
const state = newDirectory();
export const receiver = new Receiver();
const services: Service[] = [];
let service: Service;

export async function begin(): Promise<void> {
  await receiver.listen();
  service = await start();
}

export async function end(): Promise<void> {
  receiver.close();
  await endServices();
}

export const kill = () => service.kill();

export async function startAgain(): Promise<void> {
  service = await start(["--no-build"]);
}

/** All that it has printed, each time that it was started. */
export const printed = () => services.map((each) => each.output()).join("");

async function start(more: string[] = []): Promise<Service> {
  const vars = ["DELIVERY_FIRST_RETRY_MS:2", `DELIVERY_TIMEOUT_MS:${TIMEOUT_MS}`, "LOG_LEVEL:INFO"];
  const args = [...vars.flatMap((one) => ["--var", one]), ...more];
  const started = await startService({ command: "serve", state, args });
  services.push(started);
  return started;
}

export interface Created {
  subscription_id: string;
  secret: string;
}

export async function api<T>(request: string, body?: unknown): Promise<Answer<T>> {
  const [method, path] = request.split(" ");
  return ask<T>(service, `${method} /api/v1${path}`, body === undefined ? {} : { body });
}

export async function succeeded<T>(request: string, body?: unknown): Promise<T> {
  const answer = await api<T>(request, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
}

/** A subscription to the category `name`, whose receiver is the path of the same name. */
export function subscribe(name: string, more: Record<string, unknown> = {}): Promise<Created> {
  const body = { url: receiver.urlOf(`/${name}`), categories: [name], ...more };
  return succeeded<Created>("POST /subscriptions", body);
}

export async function write(entity: string, category: string, features: Record<string, unknown> = { a: 1 }) {
  await succeeded(`POST /items/${entity}`, { [category]: features });
}

export interface Delivery {
  delivery_id: string;
  event_id: string;
  status: string;
  attempts: number;
  last_status: number | null;
  last_error: string | null;
}

export async function deliveriesOf({ subscription_id: id }: Created, status = ""): Promise<Delivery[]> {
  const query = status && `&status=${status}`;
  return (
    await succeeded<{ deliveries: Delivery[] }>(`GET /subscriptions/${id}/deliveries?limit=1000${query}`)
  ).deliveries;
}

export const eventOf = ({ body }: Received) => JSON.parse(body.toString()) as FeatureAvailable;
export const taken = (path: string) => receiver.at(path).filter(({ status }) => status === 200);
export const idsOf = (received: Received[]) => received.map(({ headers }) => headers["webhook-id"] ?? "");
export const until = (what: string, isTrue: () => boolean | Promise<boolean>) =>
  waitUntil(isTrue, {
    timeoutMs: WAIT_MS,
    what: () => `not in time: ${what}\n${service.output().slice(-3_000)}`,
  });

export async function arrived(name: string, count: number): Promise<void> {
  await until(`${count} at /${name}`, () => taken(`/${name}`).length >= count);
}
