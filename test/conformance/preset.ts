import { describe, expect, test } from 'vitest'
import { env } from '../../packages/core/src/config/config.ts'
import { validateConfig } from '../../packages/core/src/config/validate.ts'
import { parseReference } from '../../packages/core/src/field/reference.ts'
import { loadPreset, type Preset, presetConfig, presetNames } from '../../packages/presets/src/index.ts'

/** What holds of every preset. What holds of its application, on its tables and with its values, is tested in `test/presets/`. */
export function conformsToPreset(preset: Preset): void {
  describe(`the preset ${preset.name}`, () => {
    const fields = Object.entries(preset.fields)

    test('its name is that of its file, and it is found by it.', async () => {
      expect(await presetNames()).toContain(preset.name)
      expect(await loadPreset(preset.name)).toBe(preset)
    })

    test('it says where its facts were read: one commit, and paths.', () => {
      expect(preset.source.repository).toMatch(/^[\w.-]+\/[\w.-]+$/)
      expect(preset.source.commit).toMatch(/^[0-9a-f]{40}$/)
      expect(preset.source.paths.length).toBeGreaterThan(0)
      expect(preset.tested).toMatch(/^[\w.-]+@\w+ \(\d{4}-\d{2}-\d{2}\)$/)
      expect(preset.tested).toContain(`@${preset.source.commit.slice(0, 7)} `)
    })

    test('what is refused online has a reason, and another default.', () => {
      if (preset.online !== true) expect([preset.mode, preset.online.length > 20]).toEqual(['transaction', true])
    })

    test('its fields have permanent names that begin with its own, and places that differ.', () => {
      expect(fields.length).toBeGreaterThan(0)
      expect(fields.map(([name]) => name).filter((name) => !name.startsWith(`${preset.name}.`))).toEqual([])
      expect(new Set(fields.map(([, { column }]) => column)).size).toBe(fields.length)
    })

    test('nothing is kept that is in the format it is to be written in, under whatever key.', () => {
      const sealed = ['kt1.aaaqeaye.EBESExQVFhcYGRobce0hAD8KQxjlrYlYkn-kOLVYVDS29Q', `${'ab'.repeat(12)}:ab:${'cd'.repeat(16)}`]
      const kept = fields.filter(([, { keep }]) => keep !== undefined && sealed.some((text) => new RegExp(`^(?:${keep})$`, 'u').test(text)))
      expect(kept.map(([name]) => name)).toEqual([])
    })

    test('every field is bound to its row where it moves to a keyring, in columns of its own table.', () => {
      expect(fields.filter(([, { bind = [] }]) => bind.length === 0).map(([name]) => name)).toEqual([])
      expect(fields.filter(([, { bind = [], column }]) => bind.includes(parseReference(column).column))).toEqual([])
    })

    test('what it comes to is a configuration, from key to key and to a keyring.', () => {
      const base = { keyrings: { app: { root: env('ROOT') } }, fields: {} }
      validateConfig(presetConfig(preset, { old: env('OLD'), new: env('NEW') }))
      validateConfig(presetConfig(preset, { old: env('OLD'), previous: [env('OLDER')], to: 'app' }, base))
    })
  })
}
