CREATE TABLE `computations` (
	`tenant_id` text NOT NULL,
	`feature_id` integer NOT NULL,
	`version` integer NOT NULL,
	`computed_at` integer,
	`failed_at` integer,
	`last_error` text,
	PRIMARY KEY(`tenant_id`, `feature_id`, `version`)
);
--> statement-breakpoint
CREATE TABLE `jobs` (
	`job_id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`feature_id` integer NOT NULL,
	`version` integer NOT NULL,
	`status` text NOT NULL,
	`total` integer,
	`computed` integer NOT NULL,
	`skipped` text NOT NULL,
	`error` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `raw_tables` (
	`table_id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`tenant_id` text NOT NULL,
	`name` text NOT NULL,
	`description` text,
	`columns` text NOT NULL,
	`timestamp_column` text,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `raw_tables_name` ON `raw_tables` (`tenant_id`,`name`);--> statement-breakpoint
ALTER TABLE `feature_versions` ADD `computation_logic` text;--> statement-breakpoint
ALTER TABLE `features` ADD `kind` text DEFAULT 'scalar' NOT NULL;--> statement-breakpoint
ALTER TABLE `features` ADD `raw_table_id` integer;--> statement-breakpoint
ALTER TABLE `features` ADD `entity_key` text;--> statement-breakpoint
ALTER TABLE `features` ADD `materialize` text;--> statement-breakpoint
ALTER TABLE `features` ADD `computation_logic` text;