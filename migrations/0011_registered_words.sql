ALTER TABLE `feature_versions` ADD `registered_words` text;--> statement-breakpoint
ALTER TABLE `features` ADD `registered_words` text;