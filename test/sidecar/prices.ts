/** An interface with a function over a record; `fields` are its fields. */
const items = (fields: string): string => `(type $f (record ${fields})) (export "item" (type $i (eq $f)))`;

/** For the text of a component that imports the interface `name`. */
export const importing = (name: string, fields: string): string =>
  `(import "${name}" (instance ${items(fields)} (export "price" (func (param "of" $i) (result u32)))))`;

/** For one that exports it. */
export const exporting = (name: string, fields: string): string =>
  `(type $own (record ${fields})) (core module $m (func (export "price") (param i32 i32) (result i32) i32.const 1))
   (core instance $c (instantiate $m)) (alias core export $c "price" (core func $p))
   (export $e "item" (type $own)) (func $price (param "of" $e) (result u32) (canon lift (core func $p)))
   (instance $x (export "item" (type $own)) (export "price" (func $price))) (export "${name}" (instance $x))`;

export const priceTwo = '(field "amount" u32) (field "count" u32)';
