/** How often a test repeats: `small` in `npm test`, `full` in `npm run prove` (KEYTURN_COUNTS=full). */
export function count(small: number, full: number): number {
  return process.env.KEYTURN_COUNTS === 'full' ? full : small
}
