import type { Route } from '../route.ts'
import { auditRoutes } from './audit.ts'
import { censusRoutes } from './census.ts'
import { certificateRoutes } from './certificates.ts'
import { fieldRoutes } from './fields.ts'
import { keyringRoutes } from './keyrings.ts'
import { leakRoutes } from './leaks.ts'
import { operationRoutes } from './operations.ts'
import { planRoutes } from './plans.ts'
import { rootRoutes } from './root.ts'
import { rotationRoutes } from './rotations.ts'
import { runRoutes } from './runs.ts'
import { secretRoutes } from './secrets.ts'

/** The HTTP API: what is mounted, documented and tested, beside what `Access` has of its own. */
export const routes: readonly Route[] = [
  ...keyringRoutes,
  ...fieldRoutes,
  ...censusRoutes,
  ...planRoutes,
  ...rotationRoutes,
  ...operationRoutes,
  ...rootRoutes,
  ...secretRoutes,
  ...runRoutes,
  ...leakRoutes,
  ...certificateRoutes,
  ...auditRoutes,
]
