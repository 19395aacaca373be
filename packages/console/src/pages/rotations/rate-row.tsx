import { lazy, Suspense } from 'react'
import { Row } from '../../parts/page.tsx'
import { Loading } from '../../parts/states.tsx'
import type { Sample } from './live.ts'

// What draws the curve is fetched where there is one to draw. Where it cannot be, because the server is away, the numbers remain.
const RateChart = lazy(() => import('./rate-chart.tsx').catch(() => ({ default: NoCurve })))
const NoCurve = (_: { samples: readonly Sample[] }) => (
  <p className="text-soft">The curve could not be loaded. The numbers above are live.</p>
)

/** The rate while this page was open. */
export const RateRow = ({ samples }: { samples: readonly Sample[] }) => (
  <Row title="Rate" note="Rows a second since you opened this page. It yields to your application.">
    <Suspense fallback={<Loading what="curve" />}>
      <RateChart samples={samples} />
    </Suspense>
  </Row>
)
