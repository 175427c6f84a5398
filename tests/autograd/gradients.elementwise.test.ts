import { checkFamilies } from './cases/checkFamilies.ts';

checkFamilies('elementwise', 'annotations');
