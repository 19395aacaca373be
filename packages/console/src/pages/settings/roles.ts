/** What each role may do, for lists to choose from. */
export const roles = [
  ['viewer', 'Viewer: looks'],
  ['operator', 'Operator: rotates keys and secrets, retires, counts'],
  ['admin', 'Administrator: also destroys keys, keeps users and tokens'],
] as const
