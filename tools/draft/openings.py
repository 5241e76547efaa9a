"""First words of user prompts, which the target then completes in the user's place.

Templates repeat themselves; a sampled continuation of a few words does not, and reads more like what
people type. An opening is short, so that the prompt is the target's and not the list's. Half of them go
on with a word of the vocabulary, whichever it is: left to itself the target talks about few things.
"""

import random
import re

STATEMENTS = """My dog;My cat keeps;My daughter is;My son wants;My wife and I;My husband says;My mother asked;My father has;
My sister lives;My best friend;My neighbour's;My boss told me;My team is;My landlord;My doctor;My teacher says;My computer;
My phone;My car makes;My bike;My kitchen;My garden;My plants;My hair;My knee;My stomach;My internet;My printer;My website;
My essay;My resume;My company;My flight;My package;My house;My bedroom;My budget;My savings;My class;My grandmother used to;
I have a;I have three;I bought;I just moved;I just started;I lost my;I forgot;I found;I need to write;I need a recipe for;
I need help understanding;I want to build;I want to learn;I want to surprise;I'm planning;I'm trying to;I'm looking for;
I'm writing a;I'm feeling;I'm not sure;I'm preparing for;I'm reading about;I'm afraid;I've been;I've never;I work as;I live in;
I love;I hate;I keep;I often;I would like to;I can't;I don't understand;I accidentally;I heard that;I read that;I used to;
We are a small;We have two;We want to;We're going to;Our office;Our family;Our school;Our dog;Our customers;
There is a;There's a strange;It is raining;It's my first;Someone told me;Yesterday I;Last week;Next month;Tomorrow is;
Every morning;After dinner;When I was;When I try to;Whenever I;Because of;Imagine you;Imagine that;Let's play;Let's say;
You are a;You are an experienced;Pretend;Act as;Suppose;Here is a list;Here is my;Here's the text:;The following;
This sentence;This code;This is an email;In my opinion;In Python,;In JavaScript,;In Excel,;In SQL,;In React,;In Linux,;
In the kitchen,;In history class;In chess,;In physics,;In the story;In music,;As a beginner,;As a parent,;As a student,;
For my birthday;For a school project;For the first time;At work,;At home,;On a plane,;With a small budget,;Without using""".replace("\n", "").split(";")

QUESTIONS = """What is;What is the best;What is the difference;What is the meaning of;What is the name of;What are the;What are some;
What are good;What does;What does the word;What do you call;What do people;What did;What was the;What were;What would;What should I;
What can I;What could;What happens when;What happens if;What kind of;What makes;What's a good;What's the;What's wrong with;What causes;
What time;What color;Which;Which country;Which of these;Which one;Who;Who was;Who wrote;Who invented;Who is;Whose;When did;When is;When should;
Where can I;Where is;Where do;Where does;Why do;Why do people;Why does;Why does my;Why is;Why are;Why did;Why can't;Why should;
How do I;How do I make;How do I fix;How do I get;How do I stop;How do I tell;How do you;How do plants;How do birds;How does;How does a;
How can I;How can we;How can a;How is;How are;How long;How long should;How many;How much;How often;How old;How far;How big;How fast;
How would you;How should I;How to;Is it;Is it okay;Is it true that;Is it possible;Is there a;Is there any;Is the;Are there;Are you;Are all;
Can you;Can you explain;Can you write;Can you help me;Can you give me;Can you tell me;Can you suggest;Can a;Can I;Can people;Could you;
Could you please;Could a;Do you know;Do you have;Do I need;Do cats;Does;Does the;Did;Did the;Has;Have you;Should I;Should we;Would you;
Would it be;Will;Will the;If I;If you could;If a;If there are;If today is;If x""".replace("\n", "").split(";")

REQUESTS = """Write a;Write a short;Write a poem about;Write a story about;Write a letter to;Write a Python;Write a function;Write a SQL;
Write an email;Write an essay;Write three;Write me;Write down;Rewrite;Rewrite this;Rephrase;Summarize;Summarize the following:;
Summarize this paragraph:;Explain;Explain how;Explain why;Explain the concept;Explain to me;Describe;Describe a;Describe the;Describe how;
Define;List;List five;List the;List some;Name;Name three;Name a famous;Give me;Give me a;Give me some;Give me an example;Give an;
Tell me;Tell me a;Tell me about;Tell me how;Tell me why;Make a;Make a list;Make this;Create a;Create a list;Create a story;Create a plan;
Design a;Draft a;Suggest;Suggest a;Recommend;Help me;Help me write;Help me choose;Find;Find the;Fix this;Fix the;Correct;Correct this:;
Translate;Translate this;Compare;Compare the;Contrast;Convert;Calculate;Compute;Solve;Solve the;Simplify;Classify;Classify these;
Sort;Sort these;Identify;Extract;Continue;Continue this story:;Complete the;Complete this sentence:;Choose;Pick;Rank;Rate;Review;
Edit;Proofread;Improve;Shorten;Expand;Turn this;Turn these;Show me;Show how;Teach me;Plan a;Plan my;Prepare;Propose;Prove;Outline;
Answer;Answer the question:;Guess;Invent;Come up with;Think of;Brainstorm;Discuss;Analyze;Evaluate;Generate;Count;Check;Please;
Please write;Please explain;Please help;Could I get;Thanks, and;Hi,;Hi there;Hello;Hello, I;hey;hey can you;what is;what's the;how do i;
how to make;why is;can u;tell me;i want;i need;write a;explain;best way to;good ideas for;recipe for;code to;difference between;meaning of;
pros and cons of;tips for;examples of;one word for;synonym for;Q:;Question:;Task:;Story idea:;Title:;Topic:""".replace("\n", "").split(";")

MAX_WORDS = 5
WORD_SHARE = 0.5  # of openings that a word follows


def words_of(vocabulary: dict[str, int]) -> list[str]:
    """Tokens that begin a word and may be one: four letters or more. Ascending, so that a seed draws the same."""
    return sorted(token[1:] for token in vocabulary if re.fullmatch("Ġ[A-Za-z][a-z]{3,}", token))


def random_opening(rng: random.Random, words: list[str]) -> str:
    """The first words of one user prompt."""
    opening = rng.choice(rng.choice([STATEMENTS, QUESTIONS, REQUESTS]))
    return f"{opening} {rng.choice(words)}" if rng.random() < WORD_SHARE else opening
