import { checkFamilies } from './cases/checkFamilies.ts';

checkFamilies('contractions', 'conv', 'spatial', 'layers');
