-- A table WITHOUT ROWID has whole rows in its B-tree: a few to a page, moved about with every insert, and a row of more than
-- a page's quarter is read with all its data for each key that is compared with it. An index has keys alone. The database
-- stays as large, and D1 counts one row more for each row of the history.
--
-- Each table is written anew, which D1 ends after 30 s: a database of gigabytes is exported and imported into a new one.
CREATE TABLE `new_account_id` (
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
);
--> statement-breakpoint
INSERT INTO `new_account_id` SELECT * FROM `account_id` ORDER BY `tenant_id`, `account_id`, `category`;
--> statement-breakpoint
DROP TABLE `account_id`;
--> statement-breakpoint
ALTER TABLE `new_account_id` RENAME TO `account_id`;
--> statement-breakpoint
CREATE TABLE `new_bright_uid` (
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
);
--> statement-breakpoint
INSERT INTO `new_bright_uid` SELECT * FROM `bright_uid` ORDER BY `tenant_id`, `bright_uid`, `category`;
--> statement-breakpoint
DROP TABLE `bright_uid`;
--> statement-breakpoint
ALTER TABLE `new_bright_uid` RENAME TO `bright_uid`;
--> statement-breakpoint
CREATE TABLE `new_entities` (
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
);
--> statement-breakpoint
INSERT INTO `new_entities` SELECT * FROM `entities` ORDER BY `tenant_id`, `entity_type`, `entity_value`, `category`;
--> statement-breakpoint
DROP TABLE `entities`;
--> statement-breakpoint
ALTER TABLE `new_entities` RENAME TO `entities`;
--> statement-breakpoint
CREATE TABLE `new_feature_history` (
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
);
--> statement-breakpoint
INSERT INTO `new_feature_history` SELECT * FROM `feature_history` ORDER BY `tenant_id`, `entity_type`, `entity_value`, `category`, `event_time`, `revision`, `ingested_at`;
--> statement-breakpoint
DROP TABLE `feature_history`;
--> statement-breakpoint
ALTER TABLE `new_feature_history` RENAME TO `feature_history`;
