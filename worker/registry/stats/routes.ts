/** Freshness and quality of a registered feature. */
import * as z from "zod";
import { unprocessable } from "../../errors.ts";
import { jsonAnswer } from "../../http/answer.ts";
import { endpoint } from "../../http/endpoint.ts";
import { timestamp, wholeNumber } from "../../http/fields.ts";
import { lazily } from "../../lazily.ts";
import {
  DEFAULT_STATS_HOURS,
  MAX_COUNTED_FEATURES_PER_WRITE,
  MAX_STATS_COLUMNS,
  MAX_STATS_FEATURES,
  MAX_STATS_HOURS,
} from "../../limits.ts";
import { nowMicros } from "../../timestamps.ts";
import { existingFeature, noSuchFeature, oneFeature } from "../existing-feature.ts";
import type { RegisteredFeature, RegisteredVersion } from "../registry-store.ts";
import { askedVersion, versionField } from "../versions.ts";
import { statsObject } from "./access.ts";
import { statsAnswer, statsSchema } from "./answers.ts";
import { askedHours } from "./window.ts";

const query = lazily(() =>
  z.object({
    version: versionField.optional().meta({
      description: "Left out: the newest active one, else the newest.",
      example: "1",
    }),
    from: timestamp.optional().meta({
      description: "The first hour is the one that this lies in.",
      example: "2026-01-01T00:00:00+00:00",
    }),
    to: timestamp.optional().meta({
      description: "The end, not included; left out: now.",
      example: "2026-01-02T00:00:00+00:00",
    }),
    hours: wholeNumber(1, MAX_STATS_HOURS)
      .optional()
      .meta({
        description: `How many, from \`from\` on or up to \`to\`; left out: ${DEFAULT_STATS_HOURS}.`,
        example: 24,
      }),
  }),
);

const stats = endpoint(
  {
    method: "get",
    path: "/api/v1/features/{feature}/stats",
    tag: "features",
    summary: "How fresh and how whole a feature is",
    description:
      `Counted are the values that were written, by the hour (UTC) in which the store learned of them: a few seconds
      after each write, as its availability event arrives. A write that came too late to change anything has no event
      and is not counted. Kept as long as history; ${MAX_STATS_HOURS} hours in one answer. Counted are at most ${MAX_STATS_FEATURES}
      feature versions of a tenant, ${MAX_COUNTED_FEATURES_PER_WRITE} features of a write and ${MAX_STATS_COLUMNS} columns of a vector,
      the first ones that come.`.replaceAll(/\s+/g, " "),
    scope: "read",
    request: { param: oneFeature, query },
    answers: {
      200: { description: "Last write, totals of the window, and its hours.", schema: statsSchema },
    },
    problems: [404],
  },
  async (c, { param, query: asked }) => {
    const now = nowMicros();
    const window = askedHours(asked, now);
    if (window.kind === "refused") throw unprocessable(window.fault);
    const feature = await existingFeature(c, param.feature);
    const version = versionOf(feature, asked.version);
    const object = statsObject(c.env, c.principal.tenant);
    const of = { feature: feature.name, version: version.version, registeredAt: version.createdAt };
    const numbers = await object.read(of, window.asked);
    return jsonAnswer(statsAnswer(feature, version.version, numbers, now));
  },
);

/** @throws Problem 404 when there is none. */
function versionOf({ versions }: RegisteredFeature, asked: number | undefined): RegisteredVersion {
  const row = askedVersion(versions, asked);
  if (!row) throw noSuchFeature();
  return row;
}

export const statsEndpoints = [stats];
