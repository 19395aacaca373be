import { type ReactNode, useEffect } from 'react'

interface PageProps {
  readonly title: string
  /** Where the page belongs: a link back to the list. */
  readonly above?: ReactNode
  readonly lead?: ReactNode
  readonly actions?: ReactNode
  readonly children: ReactNode
}

/** One page: its title, what can be done on it, and its rows. The title takes the focus of whoever comes from another page. */
export function Page({ title, above, lead, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Keyturn`
  }, [title])
  return (
    <>
      <header className="flex flex-wrap items-end justify-between gap-x-8 gap-y-4 pt-10 pb-8">
        <div className="max-w-[44rem]">
          {above === undefined ? null : <p className="mb-1 text-fine text-soft">{above}</p>}
          <h1 tabIndex={-1} className="text-title font-semibold tracking-[-0.015em]">
            {title}
          </h1>
          {lead === undefined ? null : <div className="mt-2 text-lead text-soft">{lead}</div>}
        </div>
        {actions === undefined ? null : <div className="flex flex-wrap gap-2">{actions}</div>}
      </header>
      {children}
    </>
  )
}

/** A row of the ledger: what it is about on the left, the row on the right. */
export function Row({ title, note, children }: { title: string; note?: ReactNode; children: ReactNode }) {
  return (
    <section className="ledger-row" aria-label={title}>
      <div>
        <h2 className="font-semibold">{title}</h2>
        {note === undefined ? null : <div className="mt-1 text-fine text-soft">{note}</div>}
      </div>
      <div>{children}</div>
    </section>
  )
}

/** A number that matters, and what it counts. */
export function Figure({ label, children, note }: { label: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div>
      <dt className="text-fine text-soft">{label}</dt>
      <dd>
        <span className="block text-figure font-semibold tracking-[-0.01em]">{children}</span>
        {note === undefined ? null : <span className="block text-fine text-soft">{note}</span>}
      </dd>
    </div>
  )
}

/** Figures side by side. */
export const Figures = ({ children }: { children: ReactNode }) => <dl className="figures">{children}</dl>

/** How something works, in plain words: on each page that changes something. */
export function HowItWorks({ steps, children }: { steps: readonly string[]; children?: ReactNode }) {
  return (
    <Row title="How it works">
      <ol className="max-w-[44rem] list-decimal space-y-2 pl-5 marker:text-soft">
        {steps.map((step) => (
          <li key={step} className="pl-1">
            {step}
          </li>
        ))}
      </ol>
      {children === undefined ? null : <div className="mt-4 max-w-[44rem] text-soft">{children}</div>}
    </Row>
  )
}
