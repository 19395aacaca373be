import { Link, Outlet, useMatchRoute } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { asProblem } from './api/problem.ts'
import { logOut } from './api/session.ts'
import { LogIn } from './pages/entry/log-in.tsx'
import { SetUp } from './pages/entry/set-up.tsx'
import { Button } from './parts/button.tsx'
import { Mark } from './parts/mark.tsx'
import { Failed, Loading } from './parts/states.tsx'
import { ThemeSwitch, useExactTimes } from './parts/switches.tsx'
import { ExactTimes } from './parts/when.tsx'
import { SessionProvider, useSession, useUser } from './session.tsx'

const pages = [
  ['/', 'Overview'],
  ['/keys', 'Keys'],
  ['/rotations', 'Rotations'],
  ['/fields', 'Fields'],
  ['/secrets', 'Secrets'],
  ['/audit', 'Audit'],
  ['/settings', 'Settings'],
] as const

/** What stands around every page. Without a session the log-in stands in its place, so that the address stays. */
export function Frame() {
  const { session, error, refetch, enter } = useSession()
  if (session === null)
    return (
      <Alone>{error === null ? <Loading what="session" /> : <Failed error={error} what="session" again={() => void refetch()} />}</Alone>
    )
  if (session.setup)
    return (
      <Alone>
        <SetUp onEnter={enter} />
      </Alone>
    )
  if (session.user === null)
    return (
      <Alone>
        <LogIn onEnter={enter} />
      </Alone>
    )
  return (
    <SessionProvider user={session.user}>
      <Inside />
    </SessionProvider>
  )
}

function Inside() {
  const [exactly, setExactly] = useExactTimes()
  // A leak is looked at among the secrets, under an address of its own: a secret may be called anything.
  const atLeaks = useMatchRoute()({ to: '/leaks' }) !== false
  return (
    <ExactTimes value={exactly}>
      <Skip />
      <header className="border-b border-line">
        <div className="mx-auto flex max-w-[76rem] flex-wrap items-center gap-x-10 px-4 wide:px-8">
          <Link to="/" className="flex items-center gap-2 py-3 font-semibold no-underline" aria-label="Keyturn, overview">
            <Mark /> Keyturn
          </Link>
          <nav aria-label="Pages" className="order-last w-full wide:order-none wide:w-auto">
            <ul className="flex flex-wrap gap-x-5">
              {pages.map(([to, name]) => (
                <li key={to}>
                  <Link
                    to={to}
                    className="nav-link"
                    data-name={name}
                    activeOptions={{ exact: to === '/' }}
                    aria-current={atLeaks && to === '/secrets' ? 'page' : undefined}
                  >
                    {name}
                  </Link>
                </li>
              ))}
            </ul>
          </nav>
          <Here />
        </div>
      </header>
      <main id="main" tabIndex={-1} className="mx-auto w-full flex-1 max-w-[76rem] px-4 pb-16 wide:px-8">
        <Outlet />
      </main>
      <footer className="border-t border-line">
        <div className="mx-auto flex max-w-[76rem] flex-wrap items-center justify-between gap-4 px-4 py-6 text-fine text-soft wide:px-8">
          <span className="-ml-2">
            <Button kind="quiet" aria-pressed={exactly} onClick={() => setExactly(!exactly)}>
              Exact times
            </Button>
          </span>
          <ThemeSwitch />
        </div>
      </footer>
    </ExactTimes>
  )
}

// The page has a <base>, so an address of "#main" alone would lead to another page.
function Skip() {
  const go = (event: React.MouseEvent) => {
    event.preventDefault()
    document.getElementById('main')?.focus()
  }
  return (
    <a className="skip" href={`${location.pathname}#main`} onClick={go}>
      Skip to the page
    </a>
  )
}

function Here() {
  const { name, role } = useUser()
  const { forget } = useSession()
  const [busy, setBusy] = useState(false)
  const [said, setSaid] = useState('')
  const leave = async () => {
    setBusy(true)
    const problem = await logOut().then(() => null, asProblem)
    setBusy(false)
    // Mounted in an application, the server has no sessions: they end where they began.
    if (problem?.status === 404) setSaid('Log out of your application.')
    else forget()
  }
  return (
    <div className="-mr-2 ml-auto flex items-center gap-2 text-fine text-soft">
      <span>
        {name}, {role}
      </span>
      <span role="status">{said}</span>
      <Button kind="quiet" busy={busy} onClick={() => void leave()}>
        Log out
      </Button>
    </div>
  )
}

const Alone = ({ children }: { children: ReactNode }) => (
  <main className="mx-auto flex min-h-dvh w-full max-w-[26rem] flex-col justify-center gap-8 px-4 py-10">
    <p className="flex items-center gap-2 font-semibold">
      <Mark /> Keyturn
    </p>
    {children}
  </main>
)
