// What goes well with a product. Pure: decides from the products alone.

const DULL = new Set("a an and are as at be but by for from has in is it not of on one or so that the then this to up was what who with you".split(" "));

const words = ({ name, description }) =>
  new Set(`${name} ${description}`.toLowerCase().match(/[a-z]{3,}/g)?.filter((word) => !DULL.has(word)) ?? []);

// 1 for the same price, falling to 0 where one costs many times the other.
const priceLikeness = (a, b) => Math.min(a.minor, b.minor) / Math.max(a.minor, b.minor);

export function score(product, other) {
  const own = words(product);
  const shared = [...words(other)].filter((word) => own.has(word)).length;
  return (
    2 * shared +
    (other.category === product.category ? 1.5 : 0) +
    (other.look.palette === product.look.palette ? 1 : 0) +
    (other.look.shape === product.look.shape ? -1 : 0) + // nobody wants a second teapot
    priceLikeness(product.price, other.price)
  );
}

// The best `limit` companions of the product with this id; none if it is not among the products.
export function beside(products, productId, limit) {
  const product = products.find(({ id }) => id === productId);
  if (!product) return [];
  return products
    .filter((other) => other !== product)
    .map((other) => ({ other, points: score(product, other) }))
    .sort((a, b) => b.points - a.points || (a.other.id < b.other.id ? -1 : 1))
    .slice(0, limit)
    .map(({ other }) => other);
}
