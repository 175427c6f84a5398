import { openDevice } from '../../tensor/index.ts';
import { conformance } from './conformance/index.ts';

conformance('reference', () => openDevice('reference'));
