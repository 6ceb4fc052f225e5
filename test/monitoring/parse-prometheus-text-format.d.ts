/** The package has no types of its own. */
declare module "parse-prometheus-text-format" {
  export interface ParsedMetric {
    name: string;
    help: string;
    type: string;
    /** Of a histogram it keeps no labels; see `scrape.ts`. */
    metrics: {
      value?: string;
      labels?: Record<string, string>;
      buckets?: Record<string, string>;
      sum?: string;
      count?: string;
    }[];
  }
  export default function parsePrometheusTextFormat(text: string): ParsedMetric[] | undefined;
}
