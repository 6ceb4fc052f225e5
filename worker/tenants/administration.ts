/** What the endpoints of the administration share in the API documents. */
import * as z from "zod";

export const ADMINISTRATION = "administration";

export const answeredTenantId = z.string().meta({ example: "acme" });
