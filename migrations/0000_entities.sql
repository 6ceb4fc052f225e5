CREATE TABLE `account_id` (
	`tenant_id` text NOT NULL,
	`account_id` text NOT NULL,
	`category` text NOT NULL,
	`data` text,
	`event_times` text,
	`event_time` integer NOT NULL,
	`floor` integer,
	`deleted_at` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`revision` integer NOT NULL,
	`compute_id` text,
	`source` text,
	`expires_at` integer,
	PRIMARY KEY(`tenant_id`, `account_id`, `category`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `bright_uid` (
	`tenant_id` text NOT NULL,
	`bright_uid` text NOT NULL,
	`category` text NOT NULL,
	`data` text,
	`event_times` text,
	`event_time` integer NOT NULL,
	`floor` integer,
	`deleted_at` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`revision` integer NOT NULL,
	`compute_id` text,
	`source` text,
	`expires_at` integer,
	PRIMARY KEY(`tenant_id`, `bright_uid`, `category`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `entities` (
	`tenant_id` text NOT NULL,
	`entity_type` text NOT NULL,
	`entity_value` text NOT NULL,
	`category` text NOT NULL,
	`data` text,
	`event_times` text,
	`event_time` integer NOT NULL,
	`floor` integer,
	`deleted_at` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`revision` integer NOT NULL,
	`compute_id` text,
	`source` text,
	`expires_at` integer,
	PRIMARY KEY(`tenant_id`, `entity_type`, `entity_value`, `category`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `feature_history` (
	`tenant_id` text NOT NULL,
	`entity_type` text NOT NULL,
	`entity_value` text NOT NULL,
	`category` text NOT NULL,
	`event_time` integer NOT NULL,
	`revision` integer NOT NULL,
	`mode` text NOT NULL,
	`data` text NOT NULL,
	`ingested_at` integer NOT NULL,
	`compute_id` text,
	`expires_at` integer,
	`event_id` text,
	PRIMARY KEY(`tenant_id`, `entity_type`, `entity_value`, `category`, `event_time`, `revision`, `ingested_at`)
) WITHOUT ROWID;
