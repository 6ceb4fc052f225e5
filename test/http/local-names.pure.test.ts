import { expect, test } from "vitest";
import { isDevelopersHost } from "../../worker/http/local-names.ts";

test.each([
  "localhost",
  "localhost.",
  "a.localhost",
  "127.0.0.1",
  "192.168.1.7",
  "[::1]",
  "feature-store",
  "host.docker.internal",
  "mac.local",
  "store.test",
])("%s is a developer's host", (host) => expect(isDevelopersHost(host)).toBe(true));

test.each([
  "feature-store.acme.workers.dev",
  "features.example.de",
  "localhost.attacker.example.de",
  "127.0.0.1.nip.io",
  "1.2.3.4.evil.com",
  "local.evil.com",
])("%s is nobody's machine", (host) => expect(isDevelopersHost(host)).toBe(false));
