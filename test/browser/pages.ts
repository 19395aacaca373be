/** Every page of the console, by the name of its picture. */
export const pages = {
  overview: '/',
  keys: '/keys',
  keyring: '/keys/app',
  rotations: '/rotations',
  rotation: '/rotations/01K9XQ4ZJ7',
  'rotation-done': '/rotations/01K8ZZ1F0A',
  fields: '/fields',
  secrets: '/secrets',
  secret: '/secrets/app.database',
  'secret-task': '/secrets/support.anthropic',
  leak: '/leaks?key=app',
  'leak-of-secret': '/leaks?secret=app.database',
  audit: '/audit',
  users: '/settings?tab=users',
  tokens: '/settings?tab=tokens',
} as const

/** Both themes of the system. */
export const themes = ['light', 'dark'] as const
