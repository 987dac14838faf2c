/** An object whose properties are computed when first read. */
export function lazy<T extends object>(parts: { [K in keyof T]: () => T[K] }): T {
  const object = {} as T;
  for (const key of Object.keys(parts) as (keyof T & string)[]) {
    let value: { is: T[typeof key] } | undefined;
    Object.defineProperty(object, key, {
      enumerable: true,
      get() {
        value ??= { is: parts[key]() };
        return value.is;
      },
    });
  }
  return object;
}
