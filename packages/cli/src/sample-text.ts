/** What models are compared on unless a file is named: prose, a dialogue, code, numbers, some 300 tokens. */
export const SAMPLE_TEXT = `The lighthouse had stood on the northern cape for a hundred and forty years before anyone thought of counting its steps. There were 213 of them, worn hollow in the middle, and the keeper climbed them twice a day, once to light the lamp and once to put it out. In winter the stairwell smelled of oil and wet wool; in summer the swallows nested above the door.

"How far does it reach?" the boy asked.
"Nineteen miles on a clear night," said the keeper. "On a night like this, perhaps four. A ship that sees it at four miles has twelve minutes to turn."

Water boils at 100 degrees Celsius at sea level and at about 72 degrees on the summit of Mount Everest, because the pressure of the air is only a third of what it is below. This is why tea made at a high camp tastes weak: the leaves never meet water that is hot enough.

def moving_average(values, window):
    if window <= 0:
        raise ValueError("window must be positive")
    total = 0.0
    result = []
    for i, value in enumerate(values):
        total += value
        if i >= window:
            total -= values[i - window]
        result.append(total / min(i + 1, window))
    return result

To install the package, first make sure that the compiler is present, then run the following commands in order. If the second one fails, remove the build folder and try again.
`;
