/**
 * The prompt of the docs' pictures. Of the benchmarks' twenty prompts for the embedded pair, with up to four guesses while
 * the draft is at least 0.7 sure, this one has the median acceptance length (1.74 over 96 tokens; they go from 1.46 to 3.06): neither a good day nor a
 * bad one.
 */
export const PICTURED_PROMPT = 'How do I make tomato soup from fresh tomatoes?';
