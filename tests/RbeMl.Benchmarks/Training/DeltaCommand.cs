using System.CommandLine;
using System.Globalization;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Benchmarks.Training;

/// <summary>The verb that fine-tunes one frozen base by deltas, by LoRA of as many values in torch, and whole.</summary>
internal static class DeltaCommand
{
    public static Command Create()
    {
        Option<string?> model = new("--model") { Description = "Folder of a GPT-2 whose ids are 0 between words and 1 to 26 for a to z." };
        Option<string?> text = new("--text") { Description = "Text whose words are learnt; the last tenth of them is held out." };
        Option<int> words = new("--words") { Description = "Words taken of the text.", DefaultValueFactory = _ => 20000 };
        Option<int> steps = new("--steps") { Description = "Steps of a run, of 32 words each.", DefaultValueFactory = _ => 500 };
        Option<int> seeds = new("--seeds") { Description = "Seeds of order, places and products; figures are means over them.", DefaultValueFactory = _ => 3 };
        Option<string> shares = new("--shares") { Description = "Shares of a tile that deltas have, with commas.", DefaultValueFactory = _ => "0.02,0.05" };
        Option<string> rates = new("--rates")
        {
            Description = "Learning rates, with commas; each way takes the one that is best for the first seed.",
            DefaultValueFactory = _ => "0.003,0.01,0.03",
        };
        Option<string> denseRates = new("--dense-rates") { Description = "Those of all weights.", DefaultValueFactory = _ => "0.0003,0.001,0.003" };
        Option<int> threads = new("--threads") { Description = "Threads of both sides.", DefaultValueFactory = _ => 1 };
        Option<bool> layers = new("--layers")
        {
            Description = "Instead of a model, time and bytes of the three shapes of GPT-2 small's matrices: forward, backward and update of one.",
        };
        Option<int> rounds = new("--rounds") { Description = "Pairs of measurements of --layers.", DefaultValueFactory = _ => 11 };
        Command command = new("delta", "Fine-tunes a base of 4 bits: nothing, a sparse delta, LoRA in torch with as many values, and all dense weights.")
        { model, text, words, steps, seeds, shares, rates, denseRates, threads, layers, rounds };
        command.Validators.Add(result =>
        {
            if (result.GetValue(layers)) return;
            if (result.GetValue(model) is null || result.GetValue(text) is null) result.AddError("delta: give --model and --text, or --layers.");
        });
        command.SetAction(parsed =>
        {
            TorchSharp.torch.set_num_threads(parsed.GetValue(threads));
            double[] sizes = Numbers(parsed.GetValue(shares)!);
            if (parsed.GetValue(layers))
            {
                DeltaLayers.Run(sizes, parsed.GetValue(threads), parsed.GetValue(rounds));
                return 0;
            }

            using ModelBundle bundle = ModelSource.Load(parsed.GetValue(model)!);
            int[][] learnt = WordsOf(File.ReadAllText(parsed.GetValue(text)!), parsed.GetValue(words), bundle.Model.Config);
            DeltaContest contest = new(bundle.Model.GetWeights(), learnt, parsed.GetValue(steps), parsed.GetValue(threads));
            contest.Run(sizes, Numbers(parsed.GetValue(rates)!), Numbers(parsed.GetValue(denseRates)!), parsed.GetValue(seeds));
            return 0;
        });
        return command;
    }

    // As names are: the id between words, letters, the id between words.
    private static int[][] WordsOf(string text, int count, TransformerConfig config)
    {
        if (config.Vocabulary != 27) throw new InvalidDataException($"The model has {config.Vocabulary} ids, 27 are needed: 0 between words, then a to z.");
        string letters = new([.. text.ToLowerInvariant().Select(c => c is >= 'a' and <= 'z' ? c : ' ')]);
        return [.. letters.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(count)
            .Select(word => (int[])[0, .. word.Take(config.MaxSequenceLength - 1).Select(c => c - 'a' + 1), 0])];
    }

    private static double[] Numbers(string text) => [.. text.Split(',').Select(each => double.Parse(each, CultureInfo.InvariantCulture))];
}
