/** D1 through drizzle, in sessions that start at the primary: for what is read to be changed, or right after it was. */
import { drizzle } from "drizzle-orm/d1";

export const primary = (db: D1Database) => drizzle(db.withSession("first-primary") as unknown as D1Database);
