import { expect, test } from 'vitest'
import { scrubbed } from './scrubbed.ts'

const rotator = { parts: { user: 'public', password: 'secret' } } as const
const credential = { id: 'app_b', parts: { user: 'application', password: 'a"b\\c-secret' } }

test('what a part says is kept without the values that it was given', () => {
  const said = { 'of a"b\\c-secret': 'postgres://application:a"b\\c-secret@db', json: JSON.stringify(credential.parts), count: 3 }
  expect(scrubbed({ is: 'done', evidence: said, facts: { newId: 'app_b' } }, rotator, [null, credential])).toEqual({
    is: 'done',
    evidence: { 'of …': 'postgres://application:…@db', json: '{"user":"application","password":"…"}', count: 3 },
    facts: { newId: 'app_b' },
  })
  expect(scrubbed({ is: 'failed', sentence: 'wrong password a"b\\c-secret' }, rotator, [credential])).toEqual({
    is: 'failed',
    sentence: 'wrong password …',
  })
})

test('the credential itself stays as it is', () => {
  expect(scrubbed({ is: 'done', credential, evidence: { id: 'a"b\\c-secret' } }, rotator, [credential])).toEqual({
    is: 'done',
    credential,
    evidence: { id: '…' },
  })
})

test('an id stays, also where the password is the same word: a run knows by it what is its own', () => {
  const same = { id: 'postgres', parts: { user: 'postgres', password: 'postgres' } }
  const facts = { newId: 'postgres', before: ['postgres'], gates: { 0: { seen: 'as postgres' } } }
  expect(scrubbed({ is: 'done', credential: same, facts, evidence: { role: 'postgres' } }, rotator, [same])).toEqual({
    is: 'done',
    credential: same,
    facts: { ...facts, gates: { 0: { seen: 'as …' } } },
    evidence: { role: '…' },
  })
})
