import { expect, test } from 'vitest'
import { referencesIn, render } from './template.ts'

const credential = (value: string) => ({ id: null, parts: { value, user: `user of ${value}` } })
const none = { current: null, previous: null, next: null }

test('a template is filled with the parts of its slots; one that names an empty slot removes its name', () => {
  const templates = { A: '{value}', B: 'x={current.value}&y={previous.value}', C: '{next.value}', D: 'fixed', E: '{{value}' }
  expect(render(templates, { ...none, current: credential('now'), next: credential('then') })).toEqual({
    A: 'now',
    B: null,
    C: 'then',
    D: 'fixed',
    E: '{value}',
  })
})

test('a value is put in as it is, whatever it looks like', () => {
  expect(render({ A: '{value}!' }, { ...none, current: credential('$& {user} {{') })).toEqual({ A: '$& {user} {{!' })
})

test('what a template names is told, a part without a slot being of the current credential', () => {
  expect(referencesIn('{user}:{next.value} {{user} {other thing} {}')).toEqual([
    { slot: 'current', part: 'user' },
    { slot: 'next', part: 'value' },
  ])
})
