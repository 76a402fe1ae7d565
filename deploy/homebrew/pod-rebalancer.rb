# The Homebrew formula of a release. deploy/fill fills in the version, the address and the checksums.
class PodRebalancer < Formula
  desc "Evicts the most unevenly loaded pods of a Kubernetes workload"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license any_of: ["Apache-2.0", "MIT"]

  on_macos do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/pod-rebalancer-v@VERSION@-darwin-arm64.tar.gz"
      sha256 "@SHA256 darwin-arm64@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/pod-rebalancer-v@VERSION@-darwin-amd64.tar.gz"
      sha256 "@SHA256 darwin-amd64@"
    end
  end

  on_linux do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/pod-rebalancer-v@VERSION@-linux-arm64.tar.gz"
      sha256 "@SHA256 linux-arm64@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/pod-rebalancer-v@VERSION@-linux-amd64.tar.gz"
      sha256 "@SHA256 linux-amd64@"
    end
  end

  def install
    bin.install "pod-rebalancer"
    man1.install Dir["man/man1/*.1"]
    bash_completion.install "completions/pod-rebalancer.bash" => "pod-rebalancer"
    zsh_completion.install "completions/pod-rebalancer.zsh" => "_pod-rebalancer"
    fish_completion.install "completions/pod-rebalancer.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/pod-rebalancer version")
  end
end
