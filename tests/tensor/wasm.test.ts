import { openDevice } from '../../tensor/index.ts';
import { conformance } from './conformance/index.ts';

conformance('wasm', () => openDevice('wasm'));
