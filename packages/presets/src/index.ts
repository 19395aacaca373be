/** Applications whose encryption keys Keyturn changes in place. Each has an entry of its own: `@keyturn/presets/langfuse`. */
export { type Fit, fitsPreset } from './fit.ts'
export { loadPreset, presetNames } from './load-preset.ts'
export type { Preset, PresetField } from './preset.ts'
export { type PresetUse, presetConfig, presetMode } from './preset-config.ts'
