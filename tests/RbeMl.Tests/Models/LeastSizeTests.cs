using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Tests.Cli;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

/// <summary>A size that no format comes down to is refused before anything is measured, and no other size is.</summary>
public sealed class LeastSizeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(32, 64, 96)]
    [InlineData(32, 70, 33)]
    [InlineData(64, 130, 70)]
    [InlineData(128, 100, 120)]
    public void It_is_what_a_measured_choice_says(int tile, int rows, int columns)
    {
        RbeOptions options = new() { Tile = tile };
        ChoiceSettings settings = new() { Candidates = ChoiceSettings.CandidatesFor(tile, options.Transform) };
        double measured = Assert.Throws<UnreachableTargetException>(() =>
            FormatChoice.ForMatrix(Numbers.Normal(rows * columns, 1), rows, columns, ChoiceTarget.Bits(1e-3), settings)).Best;
        LeastSize least = new(options);
        Assert.Equal(measured,
            Assert.Throws<UnreachableTargetException>(() => least.Require(ChoiceTarget.Bits(1e-3), "", (rows, columns))).Best, 1e-9 * measured);
        least.Require(ChoiceTarget.Bits(measured * 1.000001), "", (rows, columns));
        Assert.Throws<UnreachableTargetException>(() => least.Require(ChoiceTarget.Bits(measured * 0.999999), "", (rows, columns)));
        least.Require(ChoiceTarget.MostError(1e-9), "", (rows, columns)); // an error is known when it is measured
        least.Require(null, "", (rows, columns));
    }

    [Theory]
    [InlineData("bert")]
    [InlineData("w.safetensors")]
    public void Nothing_is_measured_for_it(string name)
    {
        string input = _folder.File(name), output = _folder.File("new/out.rbe");
        EncoderJob.Model(_folder);
        SafetensorsWriter.Write(_folder.File("w.safetensors"), [SafetensorsSource.From("w", Numbers.Normal(64 * 64, 1), [64, 64])]);
        string what = name == "bert" ? "" : " for tensor \"w\"";
        foreach (string[] more in new string[][] { [], ["--dry-run"] })
        {
            CommandRun run = CommandRun.Of(["compress", input, "-o", output, "--format", "auto", "--target-bits", "0.01", "--tile", "32", .. more]);
            Assert.Equal("", run.Out); // no work is shown
            run.Fails(1, $"A size of 0.01 bits a weight{what} cannot be reached: the best is ");
        }

        Assert.False(File.Exists(output));
        CompressionRequest request = new() { Options = new RbeOptions { Tile = 32 }, Target = ChoiceTarget.Bits(0.01) };
        Assert.Throws<UnreachableTargetException>(() =>
        {
            if (name == "bert")
            {
                using IModelFolder model = ModelFolders.Open(input);
                ModelCompressor.Compress(model, request, new NoProgress());
                return;
            }

            using SafetensorsSet tensors = SafetensorsSet.Open(input);
            MatrixSetCompressor.Compress(tensors, request, new NoProgress());
        });
    }

    private sealed class NoProgress : IProgress<CompressionProgress>
    {
        public void Report(CompressionProgress value) => Assert.Fail($"work on {value.Name}");
    }
}
