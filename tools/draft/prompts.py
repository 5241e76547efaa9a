"""User prompts from templates, for chats that the target then writes on.

Knows what people ask an assistant in broad strokes. Does not know eval-prompts.json: those are
written by hand, and none of them may be an instance of a template here.
"""

import random

TOPICS = """photosynthesis;the French Revolution;a used car;compound interest;black holes;sourdough bread;garden compost;
chess openings;the water cycle;time management;a job interview;renewable energy;vaccines;the stock market;a birthday party;
learning to swim;the Roman Empire;recycling;climate change;a vegetable soup;public speaking;bicycle maintenance;the human heart;
email etiquette;earthquakes;a weekly budget;plate tectonics;the internet;a house cat;coffee brewing;World War One;a marathon;
machine learning;insomnia;a small bakery;coral reefs;the moon landing;houseplants;teamwork;a rainy day;the metric system;
electric cars;jazz music;a museum visit;healthy breakfasts;bees;a broken phone;the Silk Road;dinosaurs;a camping trip;
password security;the solar system;yoga;a library;glaciers;a surprise gift;the immune system;rainbows;remote work;tea;tides;
volcanoes;a lost dog;a new neighbour;the printing press;magnets;a train journey;fractions;gravity;stress;a school project;
friendship;a lighthouse;honey;bird migration;the Great Wall;open source software;a picnic;the nervous system;deserts;
a dentist appointment;inflation;origami;a power cut;penguins;poetry;a first aid kit;bridges;a football match;elections;
a snowstorm;robots;a night market;old letters;an island;a violin;the colour blue;a missing key;a wise teacher;databases;
neural networks;the Python language;web servers;encryption;version control;unit testing;cloud computing;operating systems;
algorithms;the periodic table;DNA;atoms;evolution;electricity;sound waves;light;the ozone layer;cells;bacteria;antibiotics;
the brain;sleep;nutrition;exercise;meditation;back pain;running shoes;weight loss;vitamins;allergies;first dates;marriage;
parenting;a newborn baby;teenagers;grandparents;moving house;renting a flat;a mortgage;credit cards;taxes;retirement;insurance;
a side business;marketing;customer service;a product launch;leadership;a difficult colleague;negotiation;a cover letter;
a resume;networking;freelancing;productivity;procrastination;note taking;reading habits;learning a language;Spanish;
Shakespeare;the Renaissance;ancient Egypt;the Cold War;the Industrial Revolution;democracy;human rights;philosophy;ethics;
stoicism;mythology;dragons;pirates;space travel;time travel;a haunted house;a detective;a robot who learns to love;a small village;
the ocean;rivers;forests;mountains;the Amazon;Antarctica;Japan;Italy;Paris;New York;India;Africa;travel on a budget;airports;
hotels;road trips;photography;painting;film making;video games;board games;football;tennis;basketball;the Olympics;dance;
the guitar;classical music;cooking rice;pasta;pizza;chocolate;spices;vegetarian food;meal planning;baking;barbecue;
gardening;tomatoes;roses;trees;dogs;horses;fish tanks;birds;insects;whales;wolves;farming;water shortage;plastic waste;
solar panels;wind power;nuclear energy;batteries;public transport;cycling in the city;social media;online privacy;
artificial intelligence;smartphones;3D printing;virtual reality;blockchain;the economy;supply and demand;globalisation;
poverty;education;universities;homework;exams;libraries;journalism;advertising;fashion;architecture;furniture;cleaning;
laundry;home repairs;plumbing;painting a room;winter;spring;autumn leaves;the night sky;stars;Mars;comets;statistics;
probability;geometry;algebra;calculus;prime numbers;logic;puzzles;memory;creativity;happiness;loneliness;courage;kindness;
forgiveness;hope;change;failure;success;money;time""".replace("\n", "").split(";")

LANGUAGES = "Python;Python;Python;JavaScript;JavaScript;TypeScript;Java;C;C++;C#;Go;Rust;SQL;Bash;HTML and CSS;Ruby".split(";")

TASKS = """reverses a string;checks whether a number is prime;sorts a list of dictionaries by a key;counts the words in a text;
removes duplicates from an array;computes the factorial of n;finds the maximum in a matrix;merges two sorted lists;
validates an email address;reads a CSV file and prints the totals;returns the n-th Fibonacci number;groups items by category;
flattens a nested list;converts Celsius to Fahrenheit;checks whether two words are anagrams;finds the most common element;
parses a date;implements a stack;binary searches a sorted array;selects the ten newest orders;downloads a web page;
renames all files in a folder;calculates the average of a list;draws a bar chart;generates a random password;
computes the greatest common divisor;implements a queue with two stacks;counts vowels;solves a quadratic equation;
walks a binary tree;shuffles a deck of cards;plays rock, paper, scissors;keeps a to-do list;converts JSON to CSV;
finds the shortest path in a graph;sums the digits of a number;checks balanced brackets;rotates an array;
prints a multiplication table;sends an HTTP request;logs errors to a file;retries a failed request;
caches the results of a function;rounds prices to two decimals;finds the longest word;transposes a matrix;
implements bubble sort;connects to a database;makes a simple calculator;shows a login form""".replace("\n", "").split(";")

PEOPLE = """my boss;my mother;a friend;a customer;my landlord;my teacher;a colleague;the bank;my neighbour;a recruiter;my team;
my grandmother;a stranger;my professor;the city council;a child;my partner;a supplier""".replace("\n", "").split(";")

PLACES = """France;Germany;Japan;Brazil;Canada;Australia;Egypt;Kenya;Norway;Spain;Mexico;China;Greece;Turkey;Peru;Thailand;
Portugal;Poland;Italy;Argentina;Vietnam;Morocco;Ireland;Sweden;London;Rome;Berlin;Tokyo;Madrid;Cairo;Sydney;Chicago;
California;Texas;Scotland;Iceland;South Korea;Nigeria;Finland;Cuba""".replace("\n", "").split(";")

GENERAL = """Explain {t} in simple terms.|What is {t}?|Give {n} tips about {t}.|Write a short story about {t}.|List {n} facts about {t}.
Write a poem about {t}.|What are the advantages and disadvantages of {t}?|How does {t} work?|Write a polite email about {t}.
Summarize what you know about {t} in two sentences.|Explain {t} to a child of ten.|Compare {t} with {u}.
Write an introduction for an essay about {t}.|What questions should I ask about {t}?|Give me a step by step guide to {t}.
Write three headlines for an article about {t}.|Who should care about {t}, and why?|Why is {t} important?|What is the history of {t}?
Make a table with two columns about {t}: term and meaning.|Write a dialogue between two friends about {t}.
Rewrite in a formal tone: hey, can we talk about {t} tomorrow? i have some questions.
Correct the grammar: {t} are something that people was thinking about since many year.
Summarize in one sentence: Many people have an opinion about {t}. Some have studied it for years, others met it only once. What they share is that it changed how they see {u}.
Repeat these words in alphabetical order: {t}, {u}, {v}.|Suggest a plan for one week about {t}.|Name ten words that have to do with {t}.
Translate to simple English: the aforementioned considerations with respect to {t} notwithstanding, further deliberation appears warranted.
Describe {t} in exactly three sentences.|Turn this into bullet points: {t} needs time, patience and a little money; it helps with {u}; it can be done at home.
tell me about {t}|can you help me with {t}?|what's the best way to start with {t}|i need ideas for {t}|Is {t} worth it?
I am new to {t}. Where do I begin?|What is the difference between {t} and {u}?|How are {t} and {u} related?
Write a short paragraph about {t}.|Write a 200 word essay on {t}.|Write a blog post about {t}.|Give me an outline for a talk about {t}.
What are common mistakes people make with {t}?|What are some myths about {t}?|Give an example of {t} in everyday life.
Define {t}.|Give me {n} synonyms or related terms for {t}.|Write a quiz with {n} questions about {t}.|Write a haiku about {t}.
Write a limerick about {t}.|Tell me a joke about {t}.|Write song lyrics about {t}.|Write a slogan for a company that sells {t}.
Write a product description for {t}.|Write a tweet about {t}.|What would happen if there were no {t}?|Imagine a world without {t}.
Argue for and against {t}.|Convince me that {t} matters.|What do experts say about {t}?|What are the main types of {t}?
What tools do I need for {t}?|How much does {t} cost?|How long does it take to learn {t}?|What should I know about {t} before I am thirty?
Write the opening scene of a film about {t}.|Continue the story: Once upon a time, {t} changed everything.
Finish this sentence: The most surprising thing about {t} is|Write a letter to {p} about {t}.|Write a message to {p} to say sorry about {t}.
How do I explain {t} to {p}?|Write a thank you note to {p}.|Draft an email to {p} asking for help with {t}.
Give {n} reasons to visit {c}.|What is the capital of {c}?|What food is typical for {c}?|Plan a three day trip to {c}.
What language do people speak in {c}?|Describe the climate of {c}.|Tell me something about the history of {c}.|What should I pack for {c}?
Classify the sentiment as positive or negative: I tried {t} and it was not what I had hoped for.
Extract the nouns from this sentence: {p} told me that {t} and {u} were found in {c}.
Rewrite this sentence to make it shorter: It is a well known fact that {t} is a thing that a large number of people in {c} think about.
Translate to French: I would like to learn more about {t}.|Translate into Spanish: Where can I find {t}?
Which is better, {t} or {u}?|Rank these by importance: {t}, {u}, {v}.|What do {t}, {u} and {v} have in common?
Act as a teacher and explain {t}.|Pretend you are a tour guide in {c} and describe {t}.|You are a doctor. A patient asks about {t}. Answer.
Write a recipe that uses {t}.|Give me a checklist for {t}.|What are the first three steps of {t}?|How can I improve at {t}?
I feel nervous about {t}. What should I do?|I have a problem with {t} and {p} does not understand. Any advice?
Proofread: Their is many reason why {t} are good for {p}, it help a lot.|Write a review of a book about {t}.
Write a short speech about {t} for {p}.|Write a diary entry about {t}.|Describe a picture that shows {t} and {u}.
Make an analogy between {t} and {u}.|In one word, what is {t}?|True or false: {t} was invented in {c}.|hi, what do you think about {t}?
Hello! Can you give me a quick overview of {t}?|Answer briefly: why do people like {t}?|Give me a fun fact about {t}.""".replace("\n", "|").split("|")

CODE = """Write a {l} function that {f}.|Write a {l} program that {f}, and explain each line.|How do I write code in {l} that {f}?
Show me an example in {l}: it {f}.|Find the problem in my {l} code that {f}; it returns nothing.|Write unit tests for a {l} function that {f}.
Can you write {l} code which {f}? Keep it short.|{l}: {f}|What is a class in {l}?|Explain loops in {l} with an example.
How do I handle errors in {l}?|What is the time complexity of code that {f}?|Write pseudocode for a program that {f}.
Write a {l} script that {f} and then {g}.|Convert this idea to {l}: a program {f}.|How do I install {l}?
What is the difference between {l} and {m}?|Add comments to {l} code that {f}.|Give me a regular expression and {l} code that {f}.""".replace("\n", "|").split("|")

NUMBERS = """What is {a} times {b}?|If I buy {a} apples for {b} cents each, how much do I pay?|A train goes {c} km in {a} hours. What is its speed?
Solve for x: {a}x + {b} = {c}.|What is {a} percent of {c}?|List the multiples of {a} up to {c}.|What is {c} divided by {a}?
What is {a} + {b}?|Is {c} a prime number?|Convert {c} kilometres to miles.|Round {c}.{a} to the nearest whole number.
A shirt costs {c} dollars and is {a} percent off. What is the new price?|What is the next number: {a}, {b}, {c}?
Tom has {c} marbles and gives {a} to Ann and {b} to Bob. How many are left?|What is the area of a rectangle of {a} by {b}?
Calculate the average of {a}, {b} and {c}.|How many minutes are in {a} hours?|Count from {a} to {b}.""".replace("\n", "|").split("|")


def random_prompt(rng: random.Random) -> str:
    """One user prompt: 76 % general, 15 % code, 9 % arithmetic."""
    kind = rng.random()
    if kind < 0.76:
        t, u, v = rng.sample(TOPICS, 3)
        text = rng.choice(GENERAL).format(
            t=t, u=u, v=v, p=rng.choice(PEOPLE), c=rng.choice(PLACES), n=rng.choice(["three", "five", "seven", "10"])
        )
    elif kind < 0.91:
        language, other = rng.sample(LANGUAGES, 2)
        f, g = rng.sample(TASKS, 2)
        text = rng.choice(CODE).format(l=language, m=other, f=f, g=g)
    else:
        text = rng.choice(NUMBERS).format(a=rng.randint(2, 40), b=rng.randint(2, 40), c=rng.randint(41, 400))
    return text if rng.random() < 0.9 else text.lower()
