using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using RbeMl.Cli.Help;
using RbeMl.Kernels;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Cli.Generate;

/// <summary><c>rbeml generate</c>: continues a prompt, token by token.</summary>
internal sealed class GenerateCommand
{
    private static readonly JsonSerializerOptions JsonStyle =
        new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    private readonly Option<string?> _delta = ModelInput.Delta();
    private readonly Option<string> _model = FileOptions.Model("Model: a .rbe file, the folder that finetune wrote, or the folder of a Hugging Face GPT-2.");
    private readonly Option<string> _prompt =
        new("--prompt",
            "-p")
        {
            Description = "Text to continue, with --tokens its ids, such as \"12 5 77\"; - reads it from standard input, without the line end it ends in.",
            HelpName = "text",
            Required = true,
        };
    private readonly Option<int> _maxTokens =
        Options.Whole("--max-tokens", 100, 1,
            "Tokens to generate, fewer where the model ends the text. When the model's positions run out, it forgets the older half of the text.");
    private readonly Option<double> _temperature =
        Options.Real("--temperature", 0.8, 0, 100, "Spread of the choice: 0 always takes the likeliest token, 1 the model's own probabilities.");
    private readonly Option<int> _topK = Options.Whole("--top-k", 0, 0, "Choose among the k likeliest tokens only; 0 for all.");
    private readonly Option<double> _topP =
        Options.Real("--top-p", 1, 0, 1, "Choose among the likeliest tokens that together have this probability.", above: true);
    private readonly Option<double> _minP =
        Options.Real("--min-p", 0, 0, 1, "Choose among the tokens with at least this part of the likeliest one's probability; 0 for all.");
    private readonly Option<double> _penalty =
        Options.Real("--repetition-penalty", 1, 0.001, 1000,
            "Above 1 tokens that are there already, prompt included, become less likely: positive logits are divided by it, negative ones multiplied.");
    private readonly Option<string[]> _stop =
        new("--stop") { Description = "End the text before this one; may be given several times.", HelpName = "text", AllowMultipleArgumentsPerToken = false };
    private readonly Option<bool> _ignoreEnd = new("--ignore-end") { Description = "Go on where the model ends the text: its end token is one as any other." };
    private readonly Option<ulong> _seed = Options.Seed("Seed of the choice: the same seed gives the same text, on any number of threads.");
    private readonly TextInput _input = new("standard input, for --prompt -");
    private readonly Option<string> _kvCache =
        Options.Word("--kv-cache", "f32",
            "How past keys and values are kept: exact (f32), in half the memory (f16), or in about a quarter (int8); rounding may change "
            + "the text.", "f32", "f16", "int8");
    private readonly Option<bool> _tokens = new("--tokens") { Description = "Prompt and output are token ids; needed for models without a tokenizer." };
    private readonly Option<bool> _special = Options.Special();
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor.", 1024);
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        GenerateCommand verb = new();
        Verb command = new(
            "generate",
            """
            Continues a prompt with a model and streams the text to standard output.

            Examples:
              rbeml generate --model rbeml-out/model.rbe --prompt "Returns the"
              rbeml generate --model rbeml-out/model.rbe --prompt "Gets or sets" --temperature 0 --max-tokens 40
              rbeml generate --model ids.rbe --tokens --prompt "1 5 9" --top-k 20 --seed 7
              rbeml generate -m rbeml-out/model.rbe -p - --stop "." --repetition-penalty 1.2 < beginning.txt
            """);
        command.Add("Model and prompt", [verb._model, verb._delta, verb._prompt, verb._tokens, verb._special, .. verb._input.All]);
        command.Add("Choice of tokens", verb._temperature, verb._topK, verb._topP, verb._minP, verb._penalty, verb._seed);
        command.Add("Where it ends", verb._maxTokens, verb._stop, verb._ignoreEnd);
        command.Add("Run and output", verb._kvCache, verb._threads, verb._json);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        bool ids = result.GetValue(_tokens);
        string path = result.GetValue(_model)!;
        string[] stops = result.GetValue(_stop) ?? [];
        if (stops.Contains("")) throw new UsageException("--stop \"\": every text holds the empty one. Leave it out.");
        if (ids && stops.Length > 0) throw new UsageException("--stop is a text, and --tokens gives none. Leave out one of them.");
        if (result.GetValue(_prompt) != TextInput.Standard && _input.All.FirstOrDefault(result.Given) is { } how)
        {
            throw new UsageException($"{how.Name} says how standard input is read. Read the prompt from it, with --prompt -, or leave out {how.Name}.");
        }

        if (ids && result.GetValue(_special)) throw new UsageException("--special is for texts, and --tokens are ids. Leave out one of them.");
        if (json.File is { } file)
        {
            Options.RequireDistinct(file, result.GetValue(_delta) is { } delta ? [path, delta] : [path]);
            AtomicFile.CheckFile(file);
        }

        string prompt = PromptText.Of(result.GetValue(_prompt)!, host, _input.Read(result));
        using ModelBundle bundle = ModelInput.LoadLanguageModel(host, path, result.GetValue(_delta));
        ITokenizer? tokenizer = ids ? bundle.Tokenizer : bundle.RequireTokenizer("--prompt", prompt, path, "give token ids with --tokens.");
        int vocabulary = bundle.Model.Config.Vocabulary;
        int[] start = ids ? ParseIds(prompt, vocabulary)
            : tokenizer!.EncodeFor(prompt, vocabulary, Options.FindsSpecial(tokenizer!, result.GetValue(_special)));
        if (start.Length == 0)
        {
            throw new InvalidSettingException("--prompt", result.GetValue(_prompt) == TextInput.Standard ? "- (nothing came from standard input)"
                : "\"\"", "give at least one token to continue from.");
        }

        Stopwatch watch = Stopwatch.StartNew();
        GenerationOptions options = Read(result, stops);
        using Generator generator = new(bundle.Model, result.GetValue(_threads));
        Continuation text = new(json.OnOutput ? null : host.Generated);
        if (!ids) text.Begin(prompt);
        if (ids) text.Add(generator, start, options, host.Cancel);
        else text.Add(new TextGenerator(generator, tokenizer!), start, options, host.Cancel);
        double seconds = watch.Elapsed.TotalSeconds;
        bool cancelled = text.Finish is FinishReason.Cancelled;
        if (cancelled && host.Stopping is { } stopping) stopping.HasWork = true; // what there is takes the time it takes
        json.Write(host, JsonSerializer.Serialize(
            new
            {
                Model = path,
                Prompt = prompt,
                Text = ids ? null
            : text.Text,
                PromptTokens = start,
                text.Tokens,
                Finish = Name(text.Finish),
                options.Seed,
                KvCache = result.GetValue(_kvCache),
                CacheBytes = generator.CacheBytes,
                Seconds = seconds,
                TokensPerSecond = text.Tokens.Count / seconds,
                Cancelled = cancelled
            },
            JsonStyle));
        return cancelled ? ExitCode.Cancelled : ExitCode.Done;
    }

    private GenerationOptions Read(ParseResult result, string[] stops) => new()
    {
        MaxTokens = result.GetValue(_maxTokens),
        Temperature = result.GetValue(_temperature),
        TopK = result.GetValue(_topK),
        TopP = result.GetValue(_topP),
        MinP = result.GetValue(_minP),
        RepetitionPenalty = result.GetValue(_penalty),
        StopStrings = stops,
        IgnoreEnd = result.GetValue(_ignoreEnd),
        Seed = result.GetValue(_seed),
        KvFormat = Enum.Parse<KvFormat>(result.GetValue(_kvCache)!, ignoreCase: true),
    };

    private static string? Name(FinishReason? finish) => finish switch
    {
        FinishReason.EndToken => "end",
        FinishReason.StopString => "stop",
        FinishReason.Length => "length",
        FinishReason.Cancelled => "cancelled",
        _ => null,
    };

    private static int[] ParseIds(string prompt, int vocabulary)
    {
        string[] words = prompt.Split([' ', ',', '\t'], StringSplitOptions.RemoveEmptyEntries);
        return Array.ConvertAll(words, word =>
            int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out int id) && id < vocabulary
                ? id
                : throw new TokenException($"--prompt: \"{word}\" is no token id from 0 to {vocabulary - 1}. Separate ids by spaces."));
    }
}
