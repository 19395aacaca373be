import { conformsToPreset } from '../../../../test/conformance/preset.ts'
import langfuse from './langfuse.ts'

conformsToPreset(langfuse)
