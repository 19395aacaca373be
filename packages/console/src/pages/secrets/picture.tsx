import type { ReactNode } from 'react'
import type { Secret } from '../../secret.ts'
import { partSays } from '../../words/secrets.ts'

/** The way of a credential as a picture: who issues it, where it is put, what takes it, what must be well. */
export function Picture({ secret: { rotator, stores, targets, gates } }: { secret: Secret }) {
  return (
    <ol className="way" aria-label="The way of the credential">
      <Station title="Issuer" says="makes and revokes it">
        <Part name={rotator} />
      </Station>
      <Station title="Stores" says="where consumers read it" none="Nobody but Keyturn has it.">
        {stores.map(({ store, names }, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the same store may be there twice, and their order is that of the configuration
          <Part key={n} name={store} note={names.join(', ')} />
        ))}
      </Station>
      <Station title="Targets" says="what is deployed anew" none="Nothing is deployed.">
        {targets.map((name, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: as above
          <Part key={n} name={name} />
        ))}
      </Station>
      <Station title="Gates" says="what must be well" none="Nothing is looked at.">
        {gates.map((name, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: as above
          <Part key={n} name={name} />
        ))}
      </Station>
    </ol>
  )
}

function Station({ title, says, none = '', children }: { title: string; says: string; none?: string; children: ReactNode }) {
  const empty = Array.isArray(children) && children.length === 0
  return (
    <li>
      <h3 className="font-semibold">{title}</h3>
      <p className="mb-2 text-fine text-soft">{says}</p>
      {empty ? <p className="text-fine text-soft">{none}</p> : <ul className="space-y-2">{children}</ul>}
    </li>
  )
}

const Part = ({ name, note }: { name: string; note?: string }) => (
  <li className="part">
    {partSays(name)}
    {note === undefined ? null : <span className="mono block text-soft">{note}</span>}
  </li>
)
