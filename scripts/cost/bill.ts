/** From a month's usage to dollars. Pure. */
import { type Meter, type Price, prices, SUBSCRIPTION_DOLLARS, type Usage } from "./prices.ts";

export interface Line {
  meter: Meter;
  product: string;
  unit: string;
  used: number;
  included: number;
  dollars: number;
  /** False for a price that is announced only: it is in no sum. */
  billed: boolean;
}

export interface Bill {
  lines: Line[];
  /** Dollars by product, the subscription as one of them. */
  products: Record<string, number>;
  total: number;
}

export function billOf(usage: Usage): Bill {
  const lines = (Object.keys(prices) as Meter[]).map((meter): Line => {
    const own: Price = prices[meter];
    const { product, unit, included, billed = true } = own;
    return {
      meter,
      product,
      unit,
      used: usage[meter],
      included,
      dollars: dollarsOf(own, usage[meter]),
      billed,
    };
  });
  const products: Record<string, number> = { Subscription: SUBSCRIPTION_DOLLARS };
  for (const { product, dollars, billed } of lines) {
    if (billed) products[product] = (products[product] ?? 0) + dollars;
  }
  return { lines, products, total: Object.values(products).reduce((total, dollars) => total + dollars, 0) };
}

/** What is beyond the included amount, at its price. */
export function dollarsOf({ included, dollars, per }: Price, used: number): number {
  return (Math.max(0, used - included) / per) * dollars;
}
