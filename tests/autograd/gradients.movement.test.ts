import { checkFamilies } from './cases/checkFamilies.ts';

checkFamilies('movement', 'reductions', 'indexing');
