import type { SecretPlan } from '../../secret.ts'
import { count, counted } from '../../words/numbers.ts'
import { stepSays } from '../../words/secrets.ts'

/** A plan in words: what is wrong with it, and what would be called. */
export function SecretPlanView({ plan: { findings, steps, gap, limits } }: { plan: SecretPlan }) {
  const faults = findings.filter(({ severity }) => severity === 'fault')
  const warnings = findings.filter(({ severity }) => severity === 'warning')
  return (
    <div className="space-y-4">
      <p className="text-lead">
        {faults.length > 0
          ? 'It cannot be rotated like this.'
          : gap
            ? 'Log-ins are refused from the change until the consumers have the new one.'
            : 'Both credentials work while consumers change over.'}
      </p>
      <Findings title="Must be mended" found={faults} danger />
      <Findings title="You should know" found={warnings} />
      <section className="border-t border-line pt-3">
        <h3 className="text-fine font-semibold">Steps</h3>
        <ol className="mt-1 list-decimal space-y-1 pl-5 marker:text-soft">
          {steps.map(({ step, calls }) => (
            <li key={step}>
              {stepSays(step)}
              {calls.length === 0 ? null : <span className="block text-fine text-soft">{calls.join('; ')}</span>}
            </li>
          ))}
        </ol>
      </section>
      <Limits limits={limits} />
    </div>
  )
}

function Limits({ limits }: Pick<SecretPlan, 'limits'>) {
  if (limits.length === 0) return null
  return (
    <section className="border-t border-line pt-3">
      <h3 className="text-fine font-semibold">At most, together with all other secrets</h3>
      <ul className="mt-1 space-y-1">
        {limits.map(({ provider, atOnce, perMinute, parts }) => (
          <li key={`${provider} ${parts.join()}`}>
            {provider}: {counted(atOnce, 'call')} at once, {count(perMinute)} a minute
            <span className="block text-fine text-soft">{parts.join(', ')}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Findings({ title, found, danger = false }: { title: string; found: SecretPlan['findings']; danger?: boolean }) {
  if (found.length === 0) return null
  return (
    <section className="border-t border-line pt-3">
      <h3 className={`text-fine font-semibold ${danger ? 'text-danger' : ''}`}>{title}</h3>
      <ul className="mt-1 space-y-1">
        {found.map(({ place, sentence }) => (
          <li key={`${place} ${sentence}`}>
            <span className="block first-letter:uppercase">{sentence}</span>
            <code className="text-soft">{place}</code>
          </li>
        ))}
      </ul>
    </section>
  )
}
