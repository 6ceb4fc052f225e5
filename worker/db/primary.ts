/** D1 through drizzle, in sessions that start at the primary: for reads just before or just after a change. */
import { drizzle } from "drizzle-orm/d1";

export const primary = (db: D1Database) => drizzle(db.withSession("first-primary") as unknown as D1Database);
