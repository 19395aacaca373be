import { Link } from '@tanstack/react-router'
import { Page } from '../parts/page.tsx'

/** For an address that leads to nothing. */
export const Nowhere = () => (
  <Page title="There is no such page" lead="The address may be old, or mistyped.">
    <p>
      <Link to="/">Go to the overview</Link>
    </p>
  </Page>
)
