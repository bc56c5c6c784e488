using RbeMl.Cli;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

public sealed class UsageTests
{
    private static readonly string[] Verbs = [
        "finetune", "generate", "eval", "compress", "embed", "classify train", "classify predict", "classify eval", "inspect", "decompress",
    ];

    [Fact]
    public void A_name_too_long_is_refused_before_any_work() =>
        CommandRun.Of("compress", "none", "-o", new string('n', 252) + ".rbe").Fails(1, "has a name of 256 bytes, at most 255 fit");

    [Fact]
    public void A_word_that_starts_with_an_at_sign_is_no_file_of_arguments() =>
        CommandRun.Of("generate", "--model", "none.rbe", "--prompt", "@param name").Fails(1, "none.rbe");

    [Theory]
    [InlineData("de-DE")]
    [InlineData("ar-SA")]
    [InlineData("fa-IR")]
    public void Numbers_mean_the_same_in_every_country(string culture)
    {
        System.Globalization.CultureInfo before = System.Globalization.CultureInfo.CurrentCulture;
        try
        {
            System.Globalization.CultureInfo.CurrentCulture = Cultures.Like(culture);
            CommandRun.Of("finetune", "--learning-rate", "0,001").Fails(2, "--learning-rate 0,001: write a number with a point");
            CommandRun.Of("finetune", "--learning-rate", "11.5").Fails(2, "--learning-rate 11.5: use a number above 0, at most 10");
            CommandRun.Of("finetune", "--steps", "-7").Fails(2, "--steps -7: use 1 or more");
        }
        finally
        {
            System.Globalization.CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void An_error_breaks_between_words_on_a_terminal_and_is_one_line_elsewhere()
    {
        string[] args = ["finetune", "--learning-rate", "0,001"];
        StringWriter error = new();
        Assert.Equal(2, Commands.Run(args, new CommandHost(new StringWriter(), error) { ErrorWidth = () => 40 }));
        string[] lines = error.ToString().TrimEnd().Split('\n');
        Assert.InRange(lines.Length, 3, 9);
        Assert.All(lines, line => Assert.InRange(line.Length, 1, 40));
        Assert.Equal(CommandRun.Of(args).Error.TrimEnd(), string.Join(' ', lines.Select(line => line.Trim())));
    }

    [Theory]
    [InlineData("", "finetune", "generate", "minutes")]
    [InlineData("--help", "Usage: rbeml <command> [options]", "two")]
    [InlineData("finetune --help", "--checkpointing <none|selective|full>", "rbeml finetune --text book.txt --steps 2000", "-m, --model <model>",
        "-o, --out, --output <folder>")]
    [InlineData("generate --help", "--top-p", "rbeml generate", "-p, --prompt <text> (required)", "-m, --model <model> (required)")]
    [InlineData("eval --help", "--reference <model>", "rbeml eval --model small.rbe --reference gpt2 --text held-out.txt", "-m, --model")]
    [InlineData("compress --help", "-o, --out, --output <out.rbe> (required)", "weights err by", "[default: quantized]")]
    [InlineData("inspect --help", "<file.rbe>", "rbeml inspect small.rbe --reference gpt2 --html tiles.html", "--json [file]")]
    [InlineData("embed --help", "--out-format <jsonl|npy|tsv>", "-m, --model <model> (required)", "-o, --out, --output <file>", "-p, --prompt <name>")]
    [InlineData("embed --help", "--text-column <name>", "--field <name>", "--data-format <tsv|csv|jsonl>", "folder or .onnx file of a BERT")]
    [InlineData("classify --help", "train", "predict", "eval", "Learns classes")]
    [InlineData("classify train --help", "--label-column <name>", "--method <head|finetune|contrastive>", "[default: finetune]",
        ".onnx file of a BERT", "head = Frozen, finetune = FineTuned, contrastive = Contrastive")]
    [InlineData("decompress --help", "--dtype <f32|f16|bf16>", "rbeml decompress weights.rbe -o weights.safetensors", "-o, --out, --output <path>")]
    public void Help_teaches(string line, params string[] parts)
    {
        CommandRun run = CommandRun.Of(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal((0, ""), (run.Code, run.Error));
        string words = string.Join(' ', run.Out.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)); // wherever lines break
        Assert.All(parts, part => Assert.Contains(part, words));
    }

    [Fact]
    public void Every_option_has_a_description_and_a_group()
    {
        foreach (string verb in Verbs)
        {
            string[] page = [.. verb.Split(' '), "--help"];
            string[] lines = [.. CommandRun.Of(page).Out.Split('\n').SkipWhile(line => !line.StartsWith("Usage:", StringComparison.Ordinal)).Skip(1)];
            int options = 0;
            for (int i = 0; i < lines.Length; i++)
            {
                if (!System.Text.RegularExpressions.Regex.IsMatch(lines[i], @"^  (-[a-z], )?--[a-z]")) continue;
                options++;
                string beside = lines[i][Math.Min(lines[i].Length, 30)..].Trim(), text = lines[i].Length > 30 && lines[i][28..30] == "  "
                    ? beside : lines[i + 1].Trim();
                Assert.True(text.Length > 10, $"{verb}: {lines[i]}");
            }

            Assert.True(options >= 3, verb);
        }

        string[] titles = [.. CommandRun.Of("finetune", "--help").Out.Split('\n').Where(line => line.EndsWith(':') && line[0] != ' ')];
        Assert.Equal(["Examples:", "Data:", "Model:", "How long:", "Training:", "Compressed weights:", "A delta on a frozen model:",
            "Memory:", "Output:"], titles);
    }

    [Theory]
    [InlineData(20, 20)]
    [InlineData(40, 40)]
    [InlineData(60, 60)]
    [InlineData(80, 80)]
    [InlineData(200, 100)]
    [InlineData(null, 80)]
    public void Help_fits_the_terminal(int? columns, int most)
    {
        foreach (string[] verb in Verbs.Select(verb => (string[])[.. verb.Split(' '), "--help"]).Append(["--help"]))
        {
            foreach (string line in CommandRun.At(columns, verb).Out.Split('\n'))
            {
                // A single word may be longer than the line, and is whole.
                Assert.True(line.Length <= most || !line.Trim().TrimEnd('\\').Trim().Contains(' ', StringComparison.Ordinal),
                    $"{line.Length} of {most}: {line}");
            }
        }
    }

    [Theory]
    [InlineData("finetun", "Did you mean finetune? See 'rbeml --help'")]
    [InlineData("decompres x", "Did you mean decompress")]
    [InlineData("finetune --bach 3", "'--bach'. Did you mean --batch? See 'rbeml finetune --help'")]
    [InlineData("finetune --step=3", "'--step=3'. Did you mean --steps?")]
    [InlineData("generate --promt x -m y", "'--promt'. Did you mean --prompt?")]
    [InlineData("eval -m x --text y --refrence z", "'--refrence'. Did you mean --reference?")]
    [InlineData("compress x -o y --excludes z", "'--excludes'. Did you mean --exclude?")]
    [InlineData("inspect --verfy x", "'--verfy'. Did you mean --verify?")]
    [InlineData("decompress x -o y --dtyp f32", "'--dtyp'. Did you mean --dtype?")]
    public void A_misspelt_name_brings_the_right_one(string line, string message) => CommandRun.Of(line.Split(' ')).Fails(2, message);

    [Theory]
    [InlineData("finetune -o -", "--out -")]
    [InlineData("finetune --output -", "--out -")]
    [InlineData("compress x -o -", "--output -")]
    [InlineData("compress x --out -", "--output -")]
    [InlineData("decompress x -o -", "--output -")]
    [InlineData("inspect x --html -", "--html -")]
    public void Standard_output_is_for_json_alone(string line, string option) =>
        CommandRun.Of(line.Split(' ')).Fails(2, $"{option}: only --json writes to standard output");

    [Theory]
    [InlineData("squeeze", "Unrecognized command or argument 'squeeze'. The commands are finetune, generate,")]
    [InlineData("train --text t.txt", "Unrecognized command or argument 'train'. The commands are finetune, generate,")]
    [InlineData("compress g -o g.rbe --format auto --bits 4", "auto chooses for a size, --target-bits")]
    [InlineData("finetune --state-every x", "--state-every x: write a whole number in digits")]
    [InlineData("finetune --state-every 5h", "--state-every 5h: write a whole number in digits")]
    [InlineData("finetune --state-every -1m", "--state-every -1m: use 0 or more")]
    [InlineData("finetune --keep-states 0", "--keep-states 0: use 1 or more")]
    [InlineData("finetune --steps 0", "--steps 0: use 1 or more")]
    [InlineData("finetune --steps many", "--steps many: write a whole number in digits")]
    [InlineData("finetune --steps 1,000", "--steps 1,000: write a whole number in digits")]
    [InlineData("finetune --steps 0x10", "--steps 0x10: write a whole number in digits")]
    [InlineData("finetune --steps 1e3", "--steps 1e3: write a whole number in digits")]
    [InlineData("finetune --steps ١٢", "write a whole number in digits")]
    [InlineData("finetune --steps 99999999999", "--steps 99999999999: use 1 or more, at most 2147483647")]
    [InlineData("finetune --learning-rate 0,001", "--learning-rate 0,001: write a number with a point, without separators, such as 0.001")]
    [InlineData("finetune --learning-rate 1.000,5", "--learning-rate 1.000,5: write a number with a point")]
    [InlineData("finetune --learning-rate 1e-3x", "--learning-rate 1e-3x: write a number with a point")]
    [InlineData("finetune --learning-rate NaN", "--learning-rate NaN: write a number with a point")]
    [InlineData("finetune --clip Infinity", "--clip Infinity: write a number with a point")]
    [InlineData("finetune --clip 1e999", "--clip 1e999: use 0 or more, at most 1.797")]
    [InlineData("finetune --clip -1", "--clip -1: use 0 or more. See")]
    [InlineData("finetune --seconds $5", "--seconds $5: write a number with a point")]
    [InlineData("finetune --dropout (0.5)", "--dropout (0.5): write a number with a point")]
    [InlineData("finetune --seed -1", "--seed -1: use 0 or more. See")]
    [InlineData("finetune --seed 1,337", "--seed 1,337: write a whole number in digits")]
    [InlineData("compress a -o b --seed +0x1", "--seed +0x1: write a whole number in digits")]
    [InlineData("generate --model m --prompt x --seed 1.0", "--seed 1.0: write a whole number in digits")]
    [InlineData("compress a -o b --target-bits 4,5", "--target-bits 4,5: write a number with a point")]
    [InlineData("finetune --text a --encoding klingon", "--encoding = klingon: there is no such encoding")]
    [InlineData("finetune --lossy", "--lossy says how files are read")]
    [InlineData("compress a -o b --encoding latin1", "--encoding says how to read the --calibration file")]
    [InlineData("finetune --seconds 0", "--seconds 0: use a number above 0")]
    [InlineData("finetune --seconds -1", "--seconds -1")]
    [InlineData("finetune --learning-rate 0", "--learning-rate 0: use a number above 0, at most 10")]
    [InlineData("finetune --learning-rate NaN", "--learning-rate NaN")]
    [InlineData("finetune --dropout 1", "--dropout 1: use 0 or more, at most 0.99")]
    [InlineData("finetune --batch -4", "--batch -4: use 1 or more")]
    [InlineData("finetune --bits 9 --format quantized", "--bits 9: use 2 or more, at most 8")]
    [InlineData("finetune --model a --delta 2% --group *.bias:trained", "--group *.bias:trained would train what a delta leaves as it is")]
    [InlineData("finetune --bits 7 --format trellis", "--bits 7: --format trellis has 2 to 6, or 8")]
    [InlineData("finetune --bits 4", "--bits is for --format quantized or trellis")]
    [InlineData("finetune --outliers 4", "--outliers is for --format quantized or trellis")]
    [InlineData("finetune --outliers 65 --format trellis", "--outliers 65: use 0 or more, at most 64")]
    [InlineData("finetune --format dense", "--format dense: use one of sparse, quantized, trellis")]
    [InlineData("finetune --tile 48", "--tile 48: use one of 32, 64, 128")]
    [InlineData("finetune --tile 32 --coefficients 1025", "--coefficients 1025: a tile of 32 has 1024")]
    [InlineData("finetune --heads 3", "--heads 3 does not divide --width 256")]
    [InlineData("finetune --support topk", "--support topk")]
    [InlineData("finetune --text a --tokens b", "--text and --tokens")]
    [InlineData("finetune --tokens b --tokenizer bytes", "Leave out --tokenizer")]
    [InlineData("finetune --tokenizer bytes --vocabulary 300", "Leave out --vocabulary")]
    [InlineData("finetune --vocabulary 100", "byte pairs need 256")]
    [InlineData("finetune --validation v", "--validation needs --text or --tokens")]
    [InlineData("finetune --model m.rbe --width 64", "--width is for a new model")]
    [InlineData("finetune --model m.rbe --layers 2", "--layers is for a new model")]
    [InlineData("finetune --model m.rbe --heads 2", "--heads is for a new model")]
    [InlineData("finetune --model m.rbe --vocabulary 300", "--vocabulary is for a new model")]
    [InlineData("finetune --model m.rbe --tokenizer bpe", "--tokenizer is for a new model")]
    [InlineData("finetune --batch 65536 --context 32768", "--batch 65536 x --context 32768")]
    [InlineData("finetune --memory-limit 0", "--memory-limit 0: use 1 or more")]
    [InlineData("finetune --offload disk", "--offload disk: use one of none, bf16, spill")]
    [InlineData("finetune --out ", "--out \"\": the name is empty")]
    [InlineData("finetune --text ", "--text \"\": the name is empty")]
    [InlineData("finetune --tokens ", "--tokens \"\": the name is empty")]
    [InlineData("finetune --text a --validation ", "--validation \"\": the name is empty")]
    [InlineData("finetune --model ", "--model \"\": the name is empty")]
    [InlineData("finetune --json ", "--json \"\": the name is empty")]
    [InlineData("generate --prompt x --model ", "--model \"\": the name is empty")]
    [InlineData("generate --prompt x", "--model")]
    [InlineData("generate --model m.rbe", "--prompt")]
    [InlineData("generate --model m.rbe --prompt x --top-p 0", "--top-p 0: use a number above 0, at most 1")]
    [InlineData("generate --model m.rbe --prompt x --max-tokens 0", "--max-tokens 0")]
    [InlineData("generate --model m.rbe --prompt x --temperature -1", "--temperature -1")]
    [InlineData("eval --text t", "--model")]
    [InlineData("eval --model m.rbe", "Give --text or --tokens")]
    [InlineData("eval --model m.rbe --text t --tokens i", "--text and --tokens")]
    [InlineData("eval --model m.rbe --text t --context 8 --stride 9", "--stride 9 is more than --context 8")]
    [InlineData("eval --model m.rbe --text t --limit 0", "--limit 0: use 1 or more")]
    [InlineData("eval --model m.rbe --text t --batch 0", "--batch 0")]
    [InlineData("eval --model m.rbe --text ", "--text \"\": the name is empty")]
    [InlineData("eval --model m.rbe --text t --reference ", "--reference \"\": the name is empty")]
    [InlineData("inspect", "Required argument 'file.rbe' missing")]
    [InlineData("inspect a.rbe b.rbe", "'b.rbe'")]
    [InlineData("inspect a.rbe --html ", "--html \"\": the name is empty")]
    [InlineData("inspect ", "The name of <file.rbe> is empty")]
    [InlineData("finetune --out --steps 3", "A name is missing between --out and --steps")]
    [InlineData("eval -m --text t", "A name is missing between --model and --text")]
    [InlineData("embed", "--model")]
    [InlineData("classify predict", "--model")]
    [InlineData("classify eval -m a", "--data")]
    [InlineData("classify train -m a --data b", "--output")]
    [InlineData("classify train -m a --data b -o c --per-class 0", "--per-class 0: use 1 or more")]
    [InlineData("embed -m a --top 0", "--top 0: use 1 or more")]
    [InlineData("decompress a.rbe", "--output")]
    [InlineData("decompress a.rbe -o ", "--output \"\": the name is empty")]
    [InlineData("decompress a.rbe -o b --dtype f64", "--dtype f64: use one of f32, f16, bf16")]
    [InlineData("decompress -o b", "Required argument 'file.rbe' missing")]
    public void Wrong_usage_is_one_line_and_exit_code_2(string line, string message)
    {
        CommandRun run = CommandRun.Of(line.Split(' ')).Fails(2, message);
        Assert.Contains("--help'", run.Error);
        Assert.Equal("", run.Out);
    }
}
