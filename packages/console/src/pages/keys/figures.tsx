import type { Keyring } from '../../domain.ts'
import { Figure, Figures } from '../../parts/page.tsx'
import { When } from '../../parts/when.tsx'
import { count, percent } from '../../words/numbers.ts'

/** The cards of a keyring: its active key, its values, and those that are not current. */
export function KeyringFigures({ keyring: { active, counts, messagesLeft, signs } }: { keyring: Keyring }) {
  return (
    <Figures>
      <Figure
        label="Active key"
        note={
          active === null ? (
            'its first key is made when the application starts'
          ) : (
            <>
              <code>{active.id}</code>
              {active.activatedAt === null ? null : (
                <>
                  , since <When at={active.activatedAt} />
                </>
              )}
            </>
          )
        }
      >
        {active === null ? 'none' : `Version ${active.number}`}
      </Figure>
      {signs ? null : (
        <>
          <Figure
            label="Values"
            note={
              counts === null ? (
                'count them below'
              ) : (
                <>
                  counted <When at={counts.at} />
                </>
              )
            }
          >
            {counts === null ? <NotCounted /> : count(counts.total)}
          </Figure>
          <Figure
            label="Legacy values"
            note={counts === null ? 'under another key or format' : `${percent(counts.other, counts.total)} under another key or format`}
          >
            {counts === null ? <NotCounted /> : count(counts.other)}
          </Figure>
          <Figure
            label="Values that do not open"
            note={counts === null || counts.unreadable === 0 ? 'no key fits' : 'no key fits: see the census'}
          >
            {counts === null ? (
              'not counted'
            ) : (
              <span className={counts.unreadable > 0 ? 'text-danger' : ''}>{count(counts.unreadable)}</span>
            )}
          </Figure>
        </>
      )}
      {messagesLeft === null ? null : (
        <Figure label="Messages left" note="before the active key is to be replaced">
          {short(messagesLeft)}
        </Figure>
      )}
    </Figures>
  )
}

const short = (n: number): string =>
  new Intl.NumberFormat('en-US', { notation: 'compact', compactDisplay: 'long', maximumFractionDigits: 2 }).format(n)

const NotCounted = () => <span className="font-normal text-soft">not counted</span>
