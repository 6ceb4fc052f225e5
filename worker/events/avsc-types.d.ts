/** The part of avsc without files, streams and remote calls; it has no declarations of its own. */
declare module "avsc/etc/browser/avsc-types.js" {
  import type { Type } from "avsc";

  const avro: { Type: typeof Type };
  export default avro;
}
