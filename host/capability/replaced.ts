import { Problem } from '../base/errors.ts';

/** For an object that is replaced again and again while it is asked for. */
const attemptsMax = 3;

/** Once more if an object was replaced between two looks at it, and `mayRepeat` says so. @throws Problem as `read` */
export const againIfReplaced = async <T>(read: () => Promise<T>, mayRepeat: () => boolean): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'conflict' && attempt < attemptsMax && mayRepeat())) throw error;
    }
  }
};
