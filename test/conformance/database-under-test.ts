import type { LoggedEvent } from '../../packages/core/src/audit/chain.ts'
import type { MemoryRow, MemoryTable } from '../../packages/core/src/databases/memory/table.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'

/** The application beside a database: it reads and writes as itself. */
export interface ApplicationUnderTest {
  rows(table: string): Promise<readonly MemoryRow[]>
  insert(table: string, row: MemoryRow): Promise<void>
  /** `key` has the columns of the table's key. */
  update(table: string, key: MemoryRow, changes: MemoryRow): Promise<void>
  delete(table: string, key: MemoryRow): Promise<void>
}
/** A database with the tables that the suite asked for, and our own state. */
export interface DatabaseUnderTest {
  readonly database: Database
  readonly application: ApplicationUnderTest
  events(): Promise<readonly LoggedEvent[]>
  /** Whether readers go on while a transaction is open; false where there is one session. */
  readonly readersGoOn: boolean
}

const token = { name: 'token', type: 'text' } as const
/** Tables of the suite. */
export const tables: readonly MemoryTable[] = [
  {
    name: 'tokens',
    key: [{ name: 'id', type: 'int' }],
    columns: [token, { name: 'Secret "2"', type: 'bytes' }, { name: 'note', type: 'text' }],
  },
  {
    schema: 'Odd Schema.x',
    name: 'Pairs',
    key: [
      { name: 'Nr', type: 'int' },
      { name: 'part', type: 'text' },
    ],
    columns: [
      { ...token, maxLength: 90 },
      { name: 'tenant', type: 'uuid', nullable: false },
      { name: 'on', type: 'bool', nullable: false },
      { name: 'bytes', type: 'bytes', nullable: false },
    ],
  },
  {
    name: 'documents',
    key: [{ name: 'id', type: 'int' }],
    columns: [
      { name: 'plain', type: 'json' },
      { name: 'bin', type: 'jsonb' },
      { name: 'packed', type: 'text' },
      { name: 'short', type: 'text', maxLength: 40 },
      { name: 'key_id', type: 'text' },
    ],
  },
]
/** Documents in spellings that a parser and printer would not keep. */
export const documentTexts = [
  '{"a":"x"}',
  ' { "b" : 1.0, "a":1 }',
  '"text"',
  '[]',
  'null',
  '{"a":"\\u0061\\/","a":"it\'s"}',
  '[12345678901234567890.10]',
  '{"ä€😀":"\\\\"}',
]
/** Texts that an encoding could take for something else. */
export const oddTexts = [
  '',
  ' ',
  'a,b',
  '{"x"}',
  'NULL',
  'null',
  'it\'s "quoted"',
  'back\\slash',
  'line\nbreak',
  'ä€😀',
  '10',
  '9',
  "'; --",
  '\\x00',
]
