const longestPath = 1024;
const longestName = 255;

/** Whether a name in a listing leads out of the repository on some system: absolute, of a drive, or with `..` in it. */
export const leadsOut = (path: string): boolean =>
  /^[\\/]/.test(path) || path.split(/[\\/]/).some((name) => name === ".." || /^[a-z]:/i.test(name));

/** Whether a name is a path that can be written below a folder on every system. */
export const isRepoPath = (path: string): boolean =>
  path.length <= longestPath && !leadsOut(path) && path.split("/").every(isPlainName);

const isPlainName = (name: string): boolean =>
  name.length > 0 &&
  name.length <= longestName &&
  !/[\p{Cc}\\:*?"<>|]|[. ]$/u.test(name) &&
  !/^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i.test(name);
