import assert from "node:assert/strict";
import test from "node:test";
import { beside } from "./ranking.js";

const product = (id, category, description, minor = 1000, shape = id, palette = id) => ({
  id, name: id, category, description, price: { currency: "EUR", minor }, look: { shape, palette, pattern: "plain" },
});

test("a product that shares words comes before one that shares nothing", () => {
  const shelf = [product("mug", "kitchen", "coffee morning"), product("kite", "play", "wind"), product("jar", "home", "coffee beans")];
  assert.deepEqual(beside(shelf, "mug", 2).map(({ id }) => id), ["jar", "kite"]);
});

test("a product is never recommended beside itself, and no more than asked for", () => {
  const shelf = ["a", "b", "c", "d"].map((id) => product(id, "home", "same words here"));
  const found = beside(shelf, "b", 2).map(({ id }) => id);
  assert.equal(found.length, 2);
  assert.ok(!found.includes("b"));
});

test("an unknown product has no companions", () => {
  assert.deepEqual(beside([product("mug", "kitchen", "coffee")], "yacht", 4), []);
});
