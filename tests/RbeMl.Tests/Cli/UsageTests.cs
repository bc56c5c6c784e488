using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

public sealed class UsageTests
{
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

    [Theory]
    [InlineData("", "finetune", "generate")]
    [InlineData("--help", "rbeml [command]", "two minutes")]
    [InlineData("finetune --help", "--checkpointing <none|selective|full>", "rbeml finetune --text book.txt --steps 2000")]
    [InlineData("generate --help", "--top-p", "rbeml generate --model rbeml-out/model.rbe --prompt")]
    [InlineData("eval --help", "--reference <model>", "rbeml eval --model small.rbe --reference gpt2 --text held-out.txt")]
    [InlineData("inspect --help", "<file.rbe>", "rbeml inspect small.rbe --reference gpt2 --html tiles.html")]
    [InlineData("decompress --help", "--dtype <f32|f16|bf16>", "rbeml decompress weights.rbe -o weights.safetensors")]
    public void Help_teaches(string line, params string[] parts)
    {
        CommandRun run = CommandRun.Of(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.All(parts, part => Assert.Contains(part, run.Out));
    }

    [Fact]
    public void Every_option_has_a_description()
    {
        foreach (string verb in new[] { "finetune", "generate", "eval", "inspect", "decompress" })
        {
            string[] options = [.. CommandRun.Of(verb, "--help").Out.Split('\n').SkipWhile(line => !line.StartsWith("Options:", StringComparison.Ordinal)).Skip(1).Where(line => line.Trim().Length > 0)];
            Assert.True(options.Length >= 4);
            Assert.All(options, line => Assert.Matches(@"^  (-\?, -h, |-o, )?--[a-z-]+( <[^>]*>)?( \(REQUIRED\))?  +\S.{10,}", line));
        }
    }

    [Theory]
    [InlineData("squeeze", "Unrecognized command or argument 'squeeze'")]
    [InlineData("finetune --resume x", "'--resume'")]
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
    [InlineData("finetune --bits 2 --format quantized", "--bits 2: --format quantized has 3 to 8")]
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
    [InlineData("inspect ", "The name of the file is empty")]
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
