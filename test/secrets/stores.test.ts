import { storeConformance } from '../conformance/secrets/store.ts'
import { memory } from './parts/memory-store.ts'

// The suite itself, on the store that every other test relies on.
storeConformance('a store in memory', async () => {
  memory.set('suite', new Map([['OTHER', 'stays']]))
  return {
    config: { store: './test/secrets/parts/memory-store.ts', id: 'suite' },
    names: ['KEY', 'OLD_KEY'],
    read: async () => {
      const { OTHER: _, ...values } = Object.fromEntries(memory.get('suite') ?? [])
      return values
    },
    others: async () => memory.get('suite')?.get('OTHER'),
    close: async () => {},
  }
})
