import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { Tabs } from 'radix-ui'
import { HowItWorks, Page } from '../../parts/page.tsx'
import { useMay } from '../../session.tsx'
import { Tokens } from './tokens.tsx'
import { Users } from './users.tsx'
import { You } from './you.tsx'

const route = getRouteApi('/settings')

const tabs = [
  ['you', 'You', You],
  ['users', 'Users', Users],
  ['tokens', 'Tokens', Tokens],
] as const

/** Which tab is open, as the address holds it. */
export function tabSearch({ tab }: Record<string, unknown>): { readonly tab?: 'users' | 'tokens' } {
  return tab === 'users' || tab === 'tokens' ? { tab } : {}
}

/** Who may come in, and as what. */
export function Settings() {
  const admin = useMay('admin')
  const { tab = 'you' } = route.useSearch()
  const navigate = useNavigate({ from: '/settings' })
  return (
    <Page title="Settings">
      <Tabs.Root value={tab} onValueChange={(to) => void navigate({ search: tabSearch({ tab: to }), replace: true })}>
        <Tabs.List aria-label="Settings" className="border-b border-line">
          {tabs.map(([value, says]) => (
            <Tabs.Trigger key={value} value={value} className="tab">
              {says}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        {tabs.map(([value, says, Part]) => (
          <Tabs.Content key={value} value={value} className="[&>.ledger-row:first-child]:border-t-0">
            {admin || value === 'you' ? (
              <Part />
            ) : (
              <p className="py-8 text-soft">{says} are kept by administrators. Ask one of them for a change.</p>
            )}
          </Tabs.Content>
        ))}
      </Tabs.Root>
      <HowItWorks
        steps={[
          'A viewer looks. An operator rotates, retires and counts. An administrator also destroys keys, and decides who comes in.',
          'A token is for a program. Its secret is shown once, and kept as a hash.',
          'A change of role or password ends the sessions of that user. What a token or a user did stays on record.',
        ]}
      />
    </Page>
  )
}
