import { createRootRoute, createRoute, createRouter, redirect } from '@tanstack/react-router'
import { base } from './base.ts'
import { Frame } from './frame.tsx'
import { Audit } from './pages/audit/audit.tsx'
import { auditSearch } from './pages/audit/search.ts'
import { Entered } from './pages/entry/entered.tsx'
import { Fields } from './pages/fields/fields.tsx'
import { KeyringPage } from './pages/keys/keyring-page.tsx'
import { Keys } from './pages/keys/keys.tsx'
import { Leaks } from './pages/leaks/leaks.tsx'
import { leakSearch } from './pages/leaks/search.ts'
import { Nowhere } from './pages/nowhere.tsx'
import { Overview } from './pages/overview/overview.tsx'
import { RotationPage } from './pages/rotations/rotation-page.tsx'
import { Rotations } from './pages/rotations/rotations.tsx'
import { runSearch, SecretPage } from './pages/secrets/secret-page.tsx'
import { Secrets } from './pages/secrets/secrets.tsx'
import { Settings, tabSearch } from './pages/settings/settings.tsx'

const root = createRootRoute({ component: Frame, notFoundComponent: Nowhere })
const getParentRoute = () => root

const routes = [
  createRoute({ getParentRoute, path: '/', component: Overview }),
  createRoute({ getParentRoute, path: '/keys', component: Keys }),
  createRoute({ getParentRoute, path: '/keys/$name', component: KeyringPage }),
  createRoute({ getParentRoute, path: '/rotations', component: Rotations }),
  createRoute({ getParentRoute, path: '/rotations/$id', component: RotationPage }),
  createRoute({ getParentRoute, path: '/fields', component: Fields }),
  createRoute({ getParentRoute, path: '/secrets', component: Secrets }),
  createRoute({ getParentRoute, path: '/secrets/$name', component: SecretPage, validateSearch: runSearch }),
  createRoute({ getParentRoute, path: '/leaks', component: Leaks, validateSearch: leakSearch }),
  createRoute({ getParentRoute, path: '/audit', component: Audit, validateSearch: auditSearch }),
  createRoute({ getParentRoute, path: '/settings', component: Settings, validateSearch: tabSearch }),
  // Once somebody is logged in, the entries lead on.
  createRoute({ getParentRoute, path: '/login', component: Entered }),
  createRoute({ getParentRoute, path: '/setup', component: Entered }),
  createRoute({
    getParentRoute,
    path: '/admin/encryption',
    beforeLoad: () => {
      throw redirect({ to: '/keys' })
    },
  }),
] as const

/** Every page, by its address under the prefix. */
export const router = createRouter({ routeTree: root.addChildren(routes), basepath: base, trailingSlash: 'never' })

// Whoever comes from another page hears its title. At the first one the browser's own place is right.
router.subscribe('onRendered', ({ fromLocation, pathChanged }) => {
  if (fromLocation !== undefined && pathChanged) document.querySelector('h1')?.focus({ preventScroll: true })
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
