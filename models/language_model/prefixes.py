"""Example texts that the language models read before each text: captions, descriptions, structured descriptions.

They were written for this project in the styles of the text stream. They are part of the file format: after a change,
the coders need new numbers.
"""

__all__ = ["PREFIXES", "SHARES", "SHARPNESS", "SMALL_PREFIXES"]

CAPTIONS = (
    "a brown dog is running across a grassy field",
    "Two men in hard hats stand beside a yellow truck",
    "A young girl in a red dress sits on the steps of a house",
    "a man in a blue shirt is riding a bicycle down a dirt road",
    "Three children play in the water at the beach",
    "A woman with curly hair plays the guitar on a stage",
    "A black and white dog jumps over a log in the woods",
    "a group of people are standing in front of a large building",
    "A boy in a green jacket slides down a snowy hill on a sled",
    "a horse and a foal stand beside a fence in a meadow",
    "A skateboarder does a trick on a metal rail",
    "Two women are talking to each other while sitting on a bench",
    "A man wearing a black helmet rides a motorcycle around a corner",
    "the little boy in the striped shirt is kicking a soccer ball",
    "A person in an orange jacket is climbing up a rock face",
    "A tan dog with a stick in its mouth swims through the water",
    "a plate of food with a sandwich and some french fries",
    "People walk down a busy city street at night",
    "A surfer in a wetsuit is riding a wave",
    "A football player in a white uniform is being tackled by two players in red",
    "a bathroom with a white sink and a toilet",
    "A small child in a pink shirt is standing on a swing",
    "Two dogs are playing with a tennis ball in the snow",
    "A man with a beard is holding a camera and smiling",
)

DESCRIPTIONS = (
    "The image shows a wooden boat on a calm lake at sunset. The sky is orange and pink, and the "
    "mountains in the background are reflected in the water. The light creates a peaceful and dreamy "
    "atmosphere.",
    "A close-up of a bowl of ramen with a soft-boiled egg, sliced pork and green onions.",
    "The image depicts a futuristic city at night. Neon signs in blue and purple light up the wet "
    "streets, and flying cars pass between the tall buildings.",
    "This is a screenshot of a website with a white background, a blue menu at the top and several photos "
    "of furniture.",
    "A young woman in a white dress stands in a field of sunflowers, looking at the camera.",
    "The image captures a busy street market with colorful stalls and people walking by. The use of light "
    "and color gives the scene a warm and lively feel.",
    "A large brown bear walks through a shallow river, with a forest of pine trees behind it.",
    "The image is a still from an animated movie. A small robot with big blue eyes stands in front of a "
    "spaceship, and the desert around it is empty.",
)

STRUCTURED = (
    "A woman walks her dog along a beach in the evening.\n"
    "woman\n"
    "long dark hair, yellow jacket, seen from behind\n"
    "dog\n"
    "small and white, on a red leash\n"
    "sea\n"
    "calm, with orange light on low waves",
    "A red tram drives through a narrow street between old houses.\n"
    "tram\n"
    "red and white, number 28, lights on\n"
    "houses\n"
    "yellow and blue fronts with small iron balconies\n"
    "street\n"
    "wet cobblestones with steel rails",
    "A bowl of fruit stands on a wooden table near a window.\n"
    "bowl\n"
    "white porcelain with a blue rim\n"
    "fruit\n"
    "three apples, a banana and dark grapes\n"
    "window\n"
    "bright, out of focus, green garden behind it",
    "Two children fly a kite in a field under a cloudy sky.\n"
    "children\n"
    "a boy in a blue shirt and a girl in a pink dress\n"
    "kite\n"
    "rainbow colors, long tail\n"
    "field\n"
    "tall dry grass",
)

PREFIXES = (CAPTIONS, DESCRIPTIONS, STRUCTURED)
SHARES = (7, 7, 2)
SHARPNESS = 15 / 16  # a compromise: on training texts, 0.85 is best for captions and 1 for descriptions
SMALL_PREFIXES = (CAPTIONS[:6], DESCRIPTIONS[:2], STRUCTURED[:1])  # fewer, for a model that was trained on such texts
